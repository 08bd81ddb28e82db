"""Other clusters that are slow, silent or hostile, and what becomes of those beside them."""

import asyncio
import base64
import contextlib
import json
from datetime import timedelta
from random import Random

import pytest

from pilotpy.sources.kubernetes.clusters import Clusters
from pilotpy.sources.kubernetes.collection import REMOTE
from pilotpy.sources.kubernetes.connection import connected
from pilotpy.sources.kubernetes.member import Follow
from pilotpy.sources.kubernetes.room import GENEROUS
from tests.sources.following import Follower
from tests.sources.kubernetes.server import Server, listing
from tests.sources.kubernetes.test_connection import kubeconfig
from tests.sources.kubernetes.test_list_watch import QUICK, SILENCE

PATIENT = QUICK._replace(stall=timedelta(seconds=30))  # a machine that does other things is silent too
EMPTY = [listing("1")] * len(REMOTE)
NESTED = listing("1")._replace(body=b'{"items": [' + b"[" * 200_000)


@contextlib.asynccontextmanager
async def others(scripts, patience=timedelta(seconds=20), count=lambda *_: None, bound=GENEROUS):
    """Who follows a cluster per script, by their names; the clusters, and which of them were late."""
    late = []
    async with contextlib.AsyncExitStack() as inside:
        logins = {}
        for name, script in scripts.items():
            server = await inside.enter_async_context(Server(script, of_lists=True).running())
            written = json.dumps(kubeconfig(server.url, {})).encode()
            logins[name] = base64.b64encode(written).decode()
        secret = {"metadata": {"namespace": "system", "name": "others", "resourceVersion": "1"}, "data": logins}
        home = await inside.enter_async_context(Server([listing("1", secret), SILENCE]).running())
        connection = await inside.enter_async_context(connected(home.login))
        follow = Follow(count, Random(1), PATIENT, patience, late.append, bound)
        clusters = Clusters(connection, "system", "home", follow)
        follower = Follower(clusters)
        pump = asyncio.create_task(follower.pump())
        pump.add_done_callback(lambda _: follower._news.set())
        try:
            await follower.until(lambda: follower.batches or pump.done(), within=20)
            yield follower, late
            assert not pump.done()
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        if not pump.cancelled():
            pump.result()


def states(follower):
    return {one.cluster: one.sync for one in follower.folder.states}


def test_a_cluster_that_is_silent_keeps_others_waiting_for_a_while_and_is_told():
    async def story():
        async with others({"quiet": [], "well": EMPTY}, timedelta(seconds=2)) as (follower, late):
            await follower.until(lambda: states(follower) == {"quiet": "timeout", "well": "synced"}, within=20)
            assert "quiet" in late
            assert {one.secret.name for one in follower.folder.states} == {"others"}

    asyncio.run(story())


def test_nobody_waits_for_a_cluster_once_it_is_heard():
    async def story():
        async with others({"one": EMPTY, "two": EMPTY}) as (follower, late):
            assert states(follower) == {"one": "synced", "two": "synced"}
            assert not late
            assert not follower.folder.findings

    asyncio.run(story())


def test_a_cluster_that_answers_without_end_is_told_and_costs_no_other():
    async def story():
        async with others({"bad": [NESTED] * 50, "well": EMPTY}, timedelta(seconds=2)) as (follower, _):
            await follower.until(lambda: states(follower)["well"] == "synced", within=20)
            await follower.until(lambda: follower.folder.findings)
            assert all("bad" in one.message for one in follower.folder.findings)

    asyncio.run(story())


def test_a_cluster_that_has_more_than_it_may_is_told_and_costs_no_other():
    many = listing("1", *[{"metadata": {"namespace": "default", "name": f"n{i}"}} for i in range(5)])

    async def story():
        scripts = {"bad": [many] * 50, "well": EMPTY}
        bound = GENEROUS._replace(objects=4)
        async with others(scripts, timedelta(seconds=2), bound=bound) as (follower, _):
            await follower.until(lambda: states(follower) == {"bad": "timeout", "well": "synced"}, within=20)
            assert {one.message.partition(": ")[0] for one in follower.folder.findings} == {"Cluster bad"}
            assert any("more than 4 objects" in one.message for one in follower.folder.findings)

    asyncio.run(story())


def test_a_fault_of_ours_with_one_cluster_costs_no_other(caplog):
    def count(collection, _):
        if collection.startswith("bad/"):
            raise ZeroDivisionError

    async def story():
        async with others({"bad": EMPTY, "well": EMPTY}, count=count) as (follower, _):
            assert states(follower) == {"bad": "closed", "well": "synced"}
            (finding,) = follower.folder.findings
            assert "Cluster bad cannot be followed" in finding.message

    asyncio.run(story())
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("text", ["7", "[" * 100_000], ids=["no kubeconfig", "one that is too deep"])
def test_a_kubeconfig_that_is_none_is_waited_for_by_nobody(text):
    async def story():
        secret = {"metadata": {"namespace": "system", "name": "others", "resourceVersion": "1"}}
        secret["data"] = {"bad": base64.b64encode(text.encode()).decode()}
        async with Server([listing("1", secret), SILENCE]).running() as home, connected(home.login) as connection:
            clusters = Clusters(connection, "system", "home", Follow(lambda *_: None, Random(1), QUICK))
            heard = clusters.watch()
            async with asyncio.timeout(5):
                assert await anext(heard) == []
            assert [one.sync for one in clusters.states] == ["closed"]
            await heard.aclose()

    asyncio.run(story())
