"""Leader election at a real API server: always one at most, and soon one."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest

from pilotpy.kube.leases import Lease, Terms
from pilotpy.sources.kubernetes.connection import connected
from pilotpy.sources.kubernetes.login import default_login
from tests.asynchronous import asynchronous
from tests.kube.waiting import soon
from tests.waiting import until

QUICK = Terms(timedelta(seconds=2), timedelta(seconds=1), timedelta(seconds=0.2))


class Leaders:
    """Who leads, as their own work says; more than one at a time is noted."""

    def __init__(self):
        self.now = []
        self.ever = []
        self.crowds = []
        self.changed = asyncio.Event()

    def work(self, name):
        async def work():
            self.now.append(name)
            self.ever.append(name)
            if len(self.now) > 1:
                self.crowds.append(tuple(self.now))
            self.changed.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.now.remove(name)
                self.changed.set()

        return work

    async def until(self, condition, seconds=10):
        async with asyncio.timeout(seconds):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def candidates(apiserver, *names, terms=QUICK):
    namespace, leaders = apiserver.namespace(), Leaders()
    async with connected(default_login(apiserver.kubeconfig)) as connection:
        leases = {name: Lease(connection, namespace, "work", name, terms) for name in names}
        tasks = {name: asyncio.create_task(lease.lead(leaders.work(name))) for name, lease in leases.items()}
        try:
            yield namespace, leaders, leases, tasks
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)


def lease(namespace, **spec):
    metadata = {"namespace": namespace, "name": "work"}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def renewed_for(apiserver, namespace):
    """For how long one and the same has held a lease, by what it wrote there."""
    spec = apiserver.admin.read(lease(namespace))["spec"]
    return datetime.fromisoformat(spec["renewTime"]) - datetime.fromisoformat(spec["acquireTime"])


@asynchronous
async def test_of_many_that_start_at_once_one_leads(apiserver):
    async with candidates(apiserver, *"abcdef") as (namespace, leaders, leases, _):
        await leaders.until(lambda: leaders.now)
        await soon(lambda: renewed_for(apiserver, namespace) > 3 * QUICK.duration)
        assert len(leaders.ever) == 1
        assert [name for name, one in leases.items() if one.held] == leaders.now


@asynchronous
async def test_who_goes_in_peace_is_followed_at_once(apiserver):
    slow = QUICK._replace(duration=timedelta(seconds=60), deadline=timedelta(seconds=30))
    async with candidates(apiserver, "a", "b", terms=slow) as (_, leaders, _, tasks):
        await leaders.until(lambda: leaders.now)
        first = leaders.now[0]
        tasks[first].cancel()
        await leaders.until(lambda: leaders.now and leaders.now[0] != first, seconds=5)
    assert not leaders.crowds


@asynchronous
async def test_who_dies_is_followed_when_its_lease_has_run_out_and_not_before(apiserver):
    now = asyncio.get_running_loop().time
    namespace = apiserver.namespace()
    leaders = Leaders()
    # As a process left it that was killed; its clock was years ahead, and nobody believes clocks.
    dead = {"holderIdentity": "dead", "leaseDurationSeconds": 3, "renewTime": "2049-01-01T00:00:00.000000Z"}
    apiserver.admin.create(lease(namespace, **dead))
    async with connected(default_login(apiserver.kubeconfig)) as connection:
        task = asyncio.create_task(Lease(connection, namespace, "work", "b", QUICK).lead(leaders.work("b")))
        began = now()
        await leaders.until(lambda: leaders.now)
        assert 3 <= now() - began < 5
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert apiserver.admin.read(lease(namespace))["spec"]["holderIdentity"] == ""


@asynchronous
async def test_who_cannot_renew_stops_before_anybody_else_may_begin(apiserver):
    now = asyncio.get_running_loop().time
    async with candidates(apiserver, "a") as (namespace, leaders, _, _):
        await leaders.until(lambda: leaders.now)
        apiserver.server.pause()
        began = now()
        try:
            await leaders.until(lambda: not leaders.now)
        finally:
            apiserver.server.resume()
        assert now() - began < QUICK.duration.total_seconds()
        await leaders.until(lambda: leaders.now, seconds=20)
        assert apiserver.admin.read(lease(namespace))["spec"]["holderIdentity"] == "a"


@asynchronous
async def test_a_lease_that_is_deleted_is_still_held(apiserver):
    async with candidates(apiserver, "a", "b", "c") as (namespace, leaders, leases, _):
        await leaders.until(lambda: leaders.now)
        await until(lambda: all(one._seen for one in leases.values()))
        for _ in range(3):
            await asyncio.to_thread(apiserver.admin.delete, lease(namespace))
            await soon(lambda: apiserver.admin.read(lease(namespace)))
        assert not leaders.crowds
        assert len(leaders.now) == 1


@asynchronous
async def test_who_finds_another_name_in_its_lease_stops(apiserver):
    async with candidates(apiserver, "a") as (namespace, leaders, leases, _):
        await leaders.until(lambda: leaders.now)
        await asyncio.to_thread(
            apiserver.admin.patch, lease(namespace), {"spec": {"holderIdentity": "usurper", "leaseDurationSeconds": 60}}
        )
        await leaders.until(lambda: not leaders.now, seconds=QUICK.duration.total_seconds())
        assert not leases["a"].held


@asynchronous
async def test_work_that_fails_gives_the_lease_back(apiserver):
    async def work():
        raise RuntimeError("of ours")

    namespace = apiserver.namespace()
    async with connected(default_login(apiserver.kubeconfig)) as connection:
        with pytest.raises(RuntimeError, match="of ours"):
            await Lease(connection, namespace, "work", "a", QUICK).lead(work)
    assert apiserver.admin.read(lease(namespace))["spec"]["holderIdentity"] == ""
