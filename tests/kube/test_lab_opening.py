"""Before a lab acts on an API server: what it looks for there, on a real one."""

import asyncio
from itertools import count

import pytest

from pilotpy.lab.cluster import node, opening
from pilotpy.lab.cluster.caution import Inhabited
from pilotpy.sources.kubernetes.connection import connected
from pilotpy.sources.kubernetes.login import default_login
from tests.kube.cluster import Cluster
from tests.waiting import until

LEASE = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"namespace": "kube-node-lease", "name": node.NODE},
}


def at(apiserver, what):
    async def run():
        async with connected(default_login(apiserver.kubeconfig)) as connection:
            return await what(connection)

    return asyncio.run(run())


@pytest.fixture(scope="module")
def apiserver(kube_assets, tmp_path_factory):
    """One in which no other test leaves anything that seems to run."""
    cluster = Cluster(kube_assets, tmp_path_factory.mktemp("opening"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def lease(apiserver):
    """As a lab leaves it that did not end in order."""
    spec = {"holderIdentity": node.NODE, "renewTime": "2020-01-01T00:00:00.000000Z"}
    apiserver.admin.create(LEASE | {"spec": spec})
    yield
    apiserver.admin.delete(LEASE)


def test_a_cluster_without_anybody_is_entered_at_once(apiserver):
    at(apiserver, opening.beware)


def test_a_lab_that_is_alive_keeps_another_out_whatever_time_it_has(apiserver, lease):
    async def look(connection):
        async def renew():
            for number in count():
                spec = {"renewTime": f"2020-01-01T00:00:00.{number:06}Z"}
                await asyncio.to_thread(apiserver.admin.patch, LEASE, {"spec": spec})

        renewing = asyncio.create_task(renew())
        try:
            await opening.beware(connection)
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    with pytest.raises(Inhabited, match="another lab"):
        at(apiserver, look)


def test_a_lab_that_died_keeps_nobody_out_for_long(apiserver, lease, monkeypatch):
    monkeypatch.setattr(opening, "_BEATS", 0.05)
    at(apiserver, opening.beware)


def test_a_node_comes_and_leaves_with_its_lab(apiserver):
    async def live(connection):
        await node.register(connection)
        beating = asyncio.create_task(node.beat(connection))
        try:
            await until(lambda: node.renewal(connection))
        finally:
            beating.cancel()
        here = await asyncio.to_thread(ready)
        await node.leave(connection)
        return here, await asyncio.to_thread(ready), await node.renewal(connection)

    def ready():
        found = apiserver.admin.request("GET", f"/api/v1/nodes/{node.NODE}")
        return {one["type"]: one["status"] for one in found["status"]["conditions"]}["Ready"]

    assert at(apiserver, live) == ("True", "False", "")
    at(apiserver, opening.beware)
    apiserver.admin.delete({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.NODE}})
