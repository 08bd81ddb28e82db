"""What a cluster says wrongly, late or not at all: nothing is taken away by it, all of it is told, and it passes."""

from __future__ import annotations

import asyncio
import signal
from asyncio import to_thread
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from random import Random

import pytest
from aiohttp import web

from pilotpy.model.resource import Ref
from pilotpy.sources.kubernetes.cluster import Cluster
from pilotpy.sources.kubernetes.collection import COLLECTIONS, DEFINITIONS
from pilotpy.sources.kubernetes.connection import connected
from pilotpy.sources.kubernetes.list_watch import Happened
from pilotpy.sources.kubernetes.login import default_login, written_login
from pilotpy.sources.mesh_settings import MESH_CONFIG
from pilotpy.sources.together import Together
from tests.asynchronous import asynchronous
from tests.kube.cluster import Refused
from tests.kube.front import fronted
from tests.kube.objects import config_map, service, virtual_service
from tests.kube.plane import QUICK as SHORT
from tests.kube.plane import roots_in
from tests.kube.test_replicas import LEASE, leader, replica
from tests.kube.test_root_certificates import ROOTS, kept
from tests.kube.watching import TIMING
from tests.sources.following import Follower
from tests.sources.kubernetes.test_connection import kubeconfig
from tests.waiting import eventually, until

SETTINGS = Ref("ConfigMap", "istio-system", "istio")
QUICK = TIMING._replace(stall=timedelta(seconds=2), longest_pause=timedelta(seconds=0.3))


@asynccontextmanager
async def following(login):
    """Who follows a cluster; what was counted of it; it may not have been heard yet."""
    counted = []
    async with connected(login) as connection:
        cluster = Cluster(
            connection,
            settings=SETTINGS,
            count=lambda name, what: counted.append((name, what)),
            random=Random(1),
            timing=QUICK,
        )
        follower = Follower(Together([cluster]))
        pump = asyncio.create_task(follower.pump())
        pump.add_done_callback(lambda _: follower._news.set())
        try:
            yield follower, cluster, counted
            assert not pump.done()
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        if not pump.cancelled():
            pump.result()


def answering(status, text="", **headers):
    """Who answers everything alike."""

    async def fault(_):
        return web.Response(
            status=status, text=text, headers={key.replace("_", "-"): one for key, one in headers.items()}
        )

    return fault


def saying(status, reason):
    body = f'{{"kind": "Status", "code": {status}, "reason": "{reason}", "message": "as told"}}'
    return answering(status, body, Content_Type="application/json", Retry_After="0")


async def silent(_):
    await asyncio.Event().wait()


async def expired_watches(request):
    return await saying(410, "Expired")(request) if "watch" in request.query else None


FAULTS = {
    "it has too much to do": saying(429, "TooManyRequests"),
    "it fails": saying(500, "InternalError"),
    "it is shutting down": saying(503, "ServiceUnavailable"),
    "it forbids everything": saying(403, "Forbidden"),
    "it knows nobody any more": saying(401, "Unauthorized"),
    "it has nothing that it is asked for": saying(404, "NotFound"),
    "another server answers in its place": answering(404, "<html>nothing here</html>", Content_Type="text/html"),
    "a page is answered in its place": answering(200, "<html>log in</html>", Content_Type="text/html"),
    "it answers an empty object": answering(200, "{}", Content_Type="application/json"),
    "it does not answer": silent,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_nothing_is_taken_away_while(apiserver, fault):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        await to_thread(apiserver.admin.create, service(namespace, "stays"))
        async with fronted(apiserver) as front:
            login = written_login(kubeconfig(front.url, {}))
            async with following(login) as (follower, _, counted):
                await follower.until(lambda: follower.batches, within=20)
                before = dict(follower.objects)
                front.fault = fault
                front.cut()
                await to_thread(apiserver.admin.create, service(namespace, "comes"))
                await until(lambda: counted.count(("services", Happened.FAILED)) >= 3)
                assert any("services cannot be watched" in one.message for one in follower.folder.findings)
                assert {ref: follower.objects.get(ref) for ref in before} == before
                front.fault = None
                front.cut()
                await follower.until(lambda: heard(follower, namespace) == {"stays", "comes"}, within=30)
                await follower.until(lambda: not follower.folder.findings, within=30)
                assert not [name for name, port in follower.history if port is None]

    asyncio.run(story())


def heard(follower, namespace, kind="Service"):
    return {ref.name for ref in follower.objects if (ref.kind, ref.namespace) == (kind, namespace)}


def test_watches_that_are_refused_as_too_old_are_listed_anew_and_nothing_is_taken_away(apiserver):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        await to_thread(apiserver.admin.create, service(namespace, "stays"))
        async with (
            fronted(apiserver) as front,
            following(written_login(kubeconfig(front.url, {}))) as (follower, _, counted),
        ):
            await follower.until(lambda: follower.batches, within=20)
            front.fault = expired_watches
            front.cut()
            await to_thread(apiserver.admin.create, service(namespace, "comes"))
            await follower.until(lambda: heard(follower, namespace) == {"stays", "comes"}, within=30)
            assert ("services", Happened.EXPIRED) in counted
            assert not [name for name, port in follower.history if port is None]

    asyncio.run(story())


def test_lines_that_break_in_the_middle_are_heard_whole_in_the_end(apiserver):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        async with (
            fronted(apiserver) as front,
            following(written_login(kubeconfig(front.url, {}))) as (follower, _, counted),
        ):
            await follower.until(lambda: follower.batches, within=20)
            front.halved = True
            for i in range(3):
                await to_thread(apiserver.admin.create, service(namespace, f"web-{i}"))
            await until(lambda: ("services", Happened.FAILED) in counted)
            front.halved = False
            front.cut()
            await follower.until(lambda: len(heard(follower, namespace)) == 3, within=30)
            await follower.until(lambda: not follower.folder.findings, within=30)

    asyncio.run(story())


def test_a_cluster_of_which_one_kind_is_forbidden_is_not_followed_before_it_may_be(apiserver, caplog):
    group = "rbac.authorization.k8s.io"
    namespace = apiserver.namespace()
    apiserver.account(namespace, "reader")
    role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": f"all-but-nodes-{namespace}"}}
    reads = {"apiGroups": ["*"], "verbs": ["get", "list", "watch"]}
    kinds = sorted({one.plural for one in (*COLLECTIONS, DEFINITIONS)} - {"nodes"})
    rules = [reads | {"resources": kinds}]
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": namespace}
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": role["metadata"]["name"]}
    binding = role | {"kind": "ClusterRoleBinding", "subjects": [subject], "roleRef": reference}
    apiserver.admin.create(role | {"rules": rules}, binding)
    token = apiserver.admin.token(namespace, "reader", "")
    login = default_login(apiserver.kubeconfig_for(f"reader-{namespace}", {"token": token}))

    async def story():
        async with following(login) as (follower, cluster, counted):
            await until(lambda: counted.count(("nodes", Happened.FAILED)) > 3)
            await until(lambda: ("services", Happened.LISTED) in counted)
            assert not cluster.is_synced
            assert not follower.batches
            assert {name for name, what in counted if what is Happened.FAILED} == {"nodes"}
            assert [one.message.partition(":")[0] for one in cluster.findings] == ["nodes cannot be watched"]
            assert "waiting for the API server" in caplog.text
            nodes = reads | {"resources": ["nodes"]}
            await to_thread(apiserver.admin.patch, role, {"rules": [*rules, nodes]})
            await follower.until(lambda: follower.batches, within=20)

    asyncio.run(story())


def test_what_the_api_server_takes_and_we_do_not_leaves_what_was_good_and_is_told(apiserver, routes):
    namespace = apiserver.namespace()
    route = virtual_service(namespace, "web", "reviews")
    eventually(lambda: apiserver.admin.create(route), passing=Refused)

    async def story():
        async with following(default_login(apiserver.kubeconfig)) as (follower, *_):
            await follower.until(lambda: heard(follower, namespace, "VirtualService"), within=20)
            ref = Ref("VirtualService", namespace, "web")
            good = follower.objects[ref]
            found = lambda: {one.code for one in follower.folder.findings if one.ref == ref}  # noqa: E731 - named
            await to_thread(apiserver.admin.patch, route, {"spec": {"http": "everything"}})
            await follower.until(found)
            assert follower.objects[ref] == good

            newer = {"spec": route["spec"] | {"fromTheFuture": {"a": 1}}}
            await to_thread(apiserver.admin.patch, route, newer)
            await follower.until(lambda: any(one.field == "spec.fromTheFuture" for one in follower.folder.findings))
            assert follower.objects[ref] == good, "the rest of it is used"
            await to_thread(apiserver.admin.patch, route, {"spec": {"fromTheFuture": None, "hosts": ["other"]}})
            await follower.until(lambda: follower.objects[ref].spec.hosts == ("other",))
            assert not found()

    asyncio.run(story())


def test_settings_that_are_wrong_leave_the_last_good_ones_and_are_told(apiserver):
    namespace = apiserver.namespace()

    async def story():
        system = SETTINGS._replace(namespace=namespace)
        async with connected(default_login(apiserver.kubeconfig)) as connection:
            cluster = Cluster(connection, settings=system, count=lambda *_: None, random=Random(1), timing=QUICK)
            follower = Follower(Together([cluster]))
            pump = asyncio.create_task(follower.pump())
            try:
                good = config_map(namespace, "istio", mesh="trustDomain: good.example\n")
                await to_thread(apiserver.admin.create, good)
                await follower.until(lambda: MESH_CONFIG in follower.objects, within=20)
                await to_thread(apiserver.admin.patch, good, {"data": {"mesh": "trustDomain: [\n"}})
                await follower.until(lambda: follower.folder.findings)
                assert follower.objects[MESH_CONFIG].spec.trust_domain == "good.example"
            finally:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)

    asyncio.run(story())


@asynchronous
async def test_roots_that_a_replica_wrote_before_it_was_killed_are_completed_by_the_next(apiserver):
    namespaces = [apiserver.namespace("half-") for _ in range(20)]
    async with kept(apiserver) as first:
        await until(lambda: first.writes)
    held = [one for one in namespaces if roots_in(apiserver, one)]
    async with kept(apiserver) as second:
        for one in namespaces:
            await until(lambda one=one: roots_in(apiserver, one) == ROOTS)
        assert second.writes.count("created") <= len(namespaces) - len(held) + 8, "what is there is not written again"
        assert "failed" not in second.writes


@pytest.mark.timeout(120)
@asynchronous
async def test_a_leader_that_stood_still_finds_that_it_no_longer_leads(apiserver, repository):
    system = apiserver.namespace("system-")
    metadata = {"namespace": system, "name": LEASE}
    one = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
    async with AsyncExitStack() as stack:
        started = (stack.enter_async_context(replica(apiserver, system, name, repository)) for name in ("one", "two"))
        replicas = await asyncio.gather(*started)
        first = await until(lambda: leader(apiserver, system), passing=Refused)
        leading, waiting = sorted(replicas, key=lambda one: one.name != first)

        async def followed():
            return await leader(apiserver, system) == waiting.name

        leading.process.send_signal(signal.SIGSTOP)
        await until(followed)
        leading.process.send_signal(signal.SIGCONT)

        def renewed():
            spec = apiserver.admin.read(one)["spec"]
            return datetime.fromisoformat(spec["renewTime"]) - datetime.fromisoformat(spec["acquireTime"])

        taken = apiserver.admin.read(one)["spec"]["leaseTransitions"]
        await until(lambda: renewed() > 3 * SHORT.duration)
        assert await followed()
        assert apiserver.admin.read(one)["spec"]["leaseTransitions"] == taken
