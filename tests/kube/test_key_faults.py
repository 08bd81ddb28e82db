"""What goes wrong with the keys of a cluster while they are in use, and whom it costs anything: nobody."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from pilotpy.kube.accounts import Accounts
from pilotpy.kube.blocking import Blocking
from pilotpy.kube.secrets import SecretStorage
from pilotpy.ops.clock import SystemClock
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.login import default_login
from pilotpy_ca.clock import system_clock
from pilotpy_ca.commands import Rotate
from pilotpy_ca.csr import new_request
from pilotpy_ca.keeper import Keeper, Source
from pilotpy_ca.keys import KeyType, PrivateKey
from tests.asynchronous import asynchronous
from tests.authority.plane import Workload
from tests.kube.plane import RHYTHM, TERMS, plane
from tests.kube.test_ca_commands import STEADY, Holder, ask, phases, status
from tests.kube.test_keys import Shop, entered, secret, stored
from tests.waiting import until

CSR = new_request(PrivateKey.new(KeyType.P256))


@asynchronous
async def test_half_a_key_pair_is_not_taken_and_what_was_in_force_stays_until_there_is_a_whole_one(apiserver, caplog):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with plane(apiserver, system) as served:
        roots = await asyncio.to_thread(served.roots, shop.name)
        whole = stored(apiserver, system, "ca-cert.pem")
        apiserver.admin.patch(secret(system), {"data": {"ca-cert.pem": None}})
        await until(lambda: "the stored keys are not taken" in caplog.text)
        assert (await served.certificate(Workload(), shop.token(), roots))[-1].encode() == roots
        apiserver.admin.patch(secret(system), {"data": secret(system, data={"ca-cert.pem": whole})["data"]})
        await ask(apiserver, system, Rotate())

        async def has_taken_it():
            return (await served.certificate(Workload(), shop.token(), roots))[-1].count("BEGIN") == 2

        await until(has_taken_it)


class Killed(Exception):
    """The process is no more."""


class Mortal(Connection):
    """Of a process that is killed before one of its writes."""

    writes = 0
    last = 1 << 30

    async def ask(self, method, *arguments, **more):
        if method != "GET":
            if self.writes == self.last:
                raise Killed
            self.writes += 1
        return await super().ask(method, *arguments, **more)


@asynccontextmanager
async def mortal(apiserver, system):
    """Keys and accounts of a replica that serves nobody else."""
    login = default_login(apiserver.kubeconfig)
    connection, blocking = Mortal(login), Blocking(login, Random(1))
    try:
        kept = await asyncio.to_thread(Keeper, Source(SecretStorage(blocking, system)), TERMS, system_clock())
        accounts = Accounts(
            kept, connection, namespace=system, name="mortal", leads=lambda: False, clock=system_clock, rhythm=RHYTHM
        )
        yield kept, accounts, connection, SecretStorage(blocking, system)
    finally:
        blocking.close()
        await connection.close()


@pytest.mark.parametrize("writes", range(3, 8))
@asynchronous
async def test_a_replica_that_is_killed_between_two_writes_costs_nobody_his_trust(apiserver, writes):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with plane(apiserver, system, lease=STEADY) as served, mortal(apiserver, system) as replica:
        kept, accounts, connection, storage = replica
        roots = await asyncio.to_thread(served.roots, shop.name)
        web = Holder(shop, "web-1", roots)

        connection.last = writes

        async def told():
            accounts._account_due = accounts._beat_due = float("-inf")
            await accounts.tell()

        def give(pod):
            name = f"spiffe://cluster.local/ns/{shop.name}/sa/{pod}"
            kept.authority.issue(CSR, [name], None, system_clock(), f"{pod}.{shop.name}")

        async def story():
            await told()
            give("web-1")
            await told()
            yield
            kept.take(await asyncio.to_thread(storage.load), system_clock())
            await told()
            give("other")
            await told()
            await told()

        with suppress(Killed):
            async for _ in (living := story()):
                await ask(apiserver, system, Rotate())
        await living.aclose()
        assert connection.writes == writes, "it was killed there"
        if kept.authority.slots.next is None:
            await ask(apiserver, system, Rotate())

        async def only_web_is_waited_for():
            assert await phases(apiserver, system) == ["active", "prepared"]
            return [wait.holders for wait in (await status(apiserver, system)).waits] == [(web.name,)]

        await until(only_web_is_waited_for)
        await web.renew(served)

        async def has_gone_on():
            return (await phases(apiserver, system))[:2] == ["active", "old"]

        await until(has_gone_on)


class Wrong(SystemClock):
    """A clock that is not set right."""

    def __init__(self, by):
        self._by = by

    def now(self):
        return datetime.now(UTC) + self._by


@asynchronous
async def test_replicas_whose_clocks_differ_by_a_minute_take_each_others_certificates(apiserver):
    system, shop, minute = apiserver.namespace("system-"), Shop(apiserver), timedelta(minutes=1)
    async with AsyncExitStack() as stack:
        served = []
        for by in (timedelta(0), minute, -minute):
            one, leave = await entered(plane(apiserver, system, clock=Wrong(by)))
            stack.push_async_callback(leave)
            served.append(one)
        roots = await asyncio.to_thread(served[0].roots, shop.name)
        holder = Holder(shop, "web-1", roots)
        for one in (*served, *reversed(served)):
            await holder.renew(one)
            assert holder.trusts(holder), "it is valid by a clock that is right"
