"""An API server whose etcd is gone: it is there, knows people and what it serves, and answers no list for a minute."""

from __future__ import annotations

import asyncio
from asyncio import to_thread
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

import aiohttp
import pytest

from pilotpy.follow import following
from pilotpy.model.resource import Ref
from pilotpy.ops.instruments import instruments
from pilotpy.sources.kubernetes.cluster import Cluster
from pilotpy.sources.kubernetes.connection import connected
from pilotpy.sources.kubernetes.list_watch import Happened
from pilotpy.sources.kubernetes.login import default_login, written_login
from pilotpy.sources.together import Together
from tests.kube import served
from tests.kube.cluster import free_port
from tests.kube.front import fronted
from tests.kube.objects import service
from tests.kube.served import NOWHERE, destinations, sidecar
from tests.kube.test_faults import QUICK, expired_watches
from tests.kube.waiting import eventually
from tests.sources.kubernetes.test_connection import kubeconfig
from tests.waiting import until

IMPATIENT = QUICK._replace(silence=timedelta(seconds=2))
SETTINGS = Ref("ConfigMap", "istio-system", "istio")


pytestmark = pytest.mark.timeout(120)


class Etcd:
    """That of an API server, to be taken from it."""

    def __init__(self, apiserver):
        self._apiserver = apiserver
        self._is_gone = False

    def go(self):
        self._is_gone = True
        self._apiserver.etcd.stop()

    def come(self):
        """Be there again, as soon as the API server answers."""
        if self._is_gone:
            self._apiserver.etcd.start()
            self._is_gone = False
            eventually(lambda: self._apiserver.admin.request("GET", "/readyz") is not None)


@pytest.fixture
def etcd(apiserver):
    """It is there in the end."""
    taken = Etcd(apiserver)
    yield taken
    taken.come()


class Plane:
    """A control plane before, and once, it serves."""

    def __init__(self, login):
        self._login = login
        self.address = f"127.0.0.1:{free_port()}"
        self.counted = []
        self.cluster = None
        self.server = None

    def failures(self, collection="services"):
        return self.counted.count((collection, Happened.FAILED))

    def told(self):
        return {one.message.partition(":")[0] for one in self.cluster.findings}

    async def ready(self):
        async with aiohttp.ClientSession() as session, session.get(f"http://{self.address}/ready") as answer:
            return answer.status

    async def run(self):
        settings = NOWHERE._replace(http_address=self.address)
        async with connected(self._login) as connection:
            self.cluster = Cluster(
                connection,
                settings=SETTINGS,
                count=lambda name, what: self.counted.append((name, what)),
                random=Random(1),
                timing=IMPATIENT,
            )
            async with following(Together([self.cluster]), settings, None, instruments()) as self.server:
                await asyncio.Event().wait()


@asynccontextmanager
async def running(login):
    plane = Plane(login)
    task = asyncio.create_task(plane.run())
    try:
        yield plane
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if not task.cancelled():
        task.result()


def test_who_starts_without_etcd_says_why_it_waits_and_serves_once_it_is_back(apiserver, etcd, caplog):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        await to_thread(apiserver.admin.create, service(namespace, "web"))
        await to_thread(etcd.go)
        async with running(default_login(apiserver.kubeconfig)) as plane:
            await until(lambda: plane.failures() >= 2, 60)
            assert ("services", Happened.LISTED) not in plane.counted
            assert "services cannot be watched" in plane.told()
            assert any(one.message == "waiting for the API server" for one in caplog.records)
            assert (plane.server, await plane.ready()) == (None, 503)

            await to_thread(etcd.come)
            await until(lambda: plane.server, 60)
            assert await plane.ready() == 200
            await until(lambda: not plane.told())
            async with sidecar(plane.server.address, namespace=namespace) as proxy:
                await served.until(proxy, lambda: destinations(proxy, "web") == {"web"})

    asyncio.run(story())


def test_who_is_served_keeps_all_that_it_has_while_etcd_is_gone(apiserver, etcd):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        await to_thread(apiserver.admin.create, service(namespace, "stays"))
        async with fronted(apiserver) as front, running(written_login(kubeconfig(front.url, {}))) as plane:
            await until(lambda: plane.server, 60)
            async with sidecar(plane.server.address, namespace=namespace) as proxy:
                await served.until(proxy, lambda: destinations(proxy, "stays"))
                await to_thread(etcd.go)
                failed, before = plane.failures(), proxy.responses
                front.fault = expired_watches  # so that all is asked for anew, and the API server has to answer that
                front.cut()
                await until(lambda: ("services", Happened.EXPIRED) in plane.counted)
                listed = plane.counted.count(("services", Happened.LISTED))
                await until(lambda: plane.failures() >= failed + 2, 60)
                assert plane.counted.count(("services", Happened.LISTED)) == listed, "it cannot say what there is"
                assert "services cannot be watched" in plane.told()
                assert proxy.responses == before
                async with sidecar(plane.server.address, "web-2", namespace) as late:
                    await served.until(late, lambda: destinations(late, "stays") == {"stays"})

                front.fault = None
                await to_thread(etcd.come)
                await to_thread(apiserver.admin.create, service(namespace, "comes"))
                await served.until(proxy, lambda: destinations(proxy, "comes"), 60)
                assert destinations(proxy, "stays") == {"stays"}
                await until(lambda: not plane.told(), 60)

    asyncio.run(story())
