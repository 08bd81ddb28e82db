"""Replicas as processes of their own, of which the one that leads is killed while workloads go on asking."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest

from pilotpy.xds.resource_type import CLUSTER
from pilotpy_protos.istio.v1.auth.ca_pb2 import IstioCertificateRequest, IstioCertificateResponse
from tests.asynchronous import asynchronous
from tests.authority.plane import CREATE, Workload, bearer
from tests.kube.plane import QUICK, roots_in
from tests.kube.test_keys import Shop
from tests.kube.waiting import soon
from tests.waiting import until
from tests.xds.client import OPTIONS, Client, node_id, resources_in

LEASE = "istio-namespace-controller-election"
# What a workload tries again after: a replica is gone, the API server too busy to review its token; it asks too often.
PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


@dataclass
class Replica:
    """One process."""

    name: str
    process: asyncio.subprocess.Process
    address: str
    system: str

    def channel(self, roots):
        options = [*OPTIONS, ("grpc.ssl_target_name_override", f"istiod.{self.system}.svc")]
        return grpc.aio.secure_channel(self.address, grpc.ssl_channel_credentials(roots), options)


@asynccontextmanager
async def replica(apiserver, system, name, repository):
    arguments = ("-m", "tests.kube.replica", str(apiserver.kubeconfig), system)
    environment = os.environ | {"POD_NAME": name, "PYTHONPATH": str(repository)}
    log = (apiserver.folder / f"{system}-{name}.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig", "KILL", "--", sys.executable, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=log, env=environment,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            address = (await process.stdout.readline()).decode().strip()
        assert address, "it did not start"
        yield Replica(name, process, address, system)
    finally:
        log.close()
        if process.returncode is None:
            process.kill()
        await process.wait()


async def leader(apiserver, system):
    one = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"namespace": system, "name": LEASE}}
    spec = (await asyncio.to_thread(apiserver.admin.read, one))["spec"]
    return spec["holderIdentity"].partition("_")[0]


class Asking:
    """A workload that asks for certificate after certificate, of one replica until it does not answer."""

    def __init__(self, replicas, token, roots, first=0):
        self.replicas, self.token, self.roots, self.first = replicas, token, roots, first
        self.given, self.longest = 0, 0.0

    async def run(self):
        now, workload, turn = asyncio.get_running_loop().time, Workload(), self.first
        while True:
            asked = now()
            while not await self._given(self.replicas[turn % len(self.replicas)], workload):
                turn += 1
            self.given += 1
            self.longest = max(self.longest, now() - asked)

    async def _given(self, replica, workload):
        async with replica.channel(self.roots) as channel:
            call = channel.unary_unary(
                CREATE,
                request_serializer=IstioCertificateRequest.SerializeToString,
                response_deserializer=IstioCertificateResponse.FromString,
            )
            try:
                answer = await call(IstioCertificateRequest(csr=workload.csr()), metadata=bearer(self.token), timeout=5)
            except grpc.aio.AioRpcError as error:
                if error.code() not in PASSING:
                    raise
                return False
        assert answer.cert_chain[-1].encode() == self.roots
        return True


async def configured(replica, shop, roots):
    """A proxy that holds its clusters, and what they are called; as one that is refused it comes again."""
    return await until(
        lambda: connected(replica, shop, roots), patience=60, passing=(grpc.aio.AioRpcError, AssertionError)
    )


async def connected(replica, shop, roots):
    client = Client(
        "",
        node_id("web", shop.name),
        {"NAMESPACE": shop.name},
        channel=replica.channel(roots),
        headers=bearer(shop.token()),
    )
    try:
        await client.ask(CLUSTER)
        return client, set(resources_in(await client.response(20)))
    except BaseException:
        await client.close()
        raise


@pytest.mark.timeout(180)
@asynchronous
async def test_a_leader_killed_under_load_is_followed_within_its_lease_and_nobody_fails_for_good(apiserver, repository):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with AsyncExitStack() as stack:
        replicas = await asyncio.gather(
            *(stack.enter_async_context(replica(apiserver, system, name, repository)) for name in ("one", "two"))
        )
        await soon(lambda: roots_in(apiserver, shop.name))
        roots = roots_in(apiserver, shop.name).encode()
        first = await leader(apiserver, system)
        leading, following = sorted(replicas, key=lambda one: one.name != first)
        proxies = [await configured(one, shop, roots) for one in (leading, following)]
        workloads = [Asking(replicas, shop.token(), roots, number) for number in range(4)]
        tasks = [asyncio.create_task(one.run()) for one in workloads]
        try:
            await soon(lambda: all(one.given for one in workloads))
            leading.process.send_signal(signal.SIGKILL)
            killed = asyncio.get_running_loop().time()
            late = await asyncio.to_thread(apiserver.namespace)
            await soon(lambda: roots_in(apiserver, late))
            waited = asyncio.get_running_loop().time() - killed
            given = [one.given for one in workloads]
            await soon(lambda: all(one.given > before for one, before in zip(workloads, given, strict=True)))
            for task in tasks:
                assert not task.done(), task.exception()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        assert await leader(apiserver, system) == following.name
        slack = 10.0  # for a machine that does other things too
        assert waited < (QUICK.duration + QUICK.retry).total_seconds() + slack
        assert roots_in(apiserver, late).encode() == roots
        assert max(one.longest for one in workloads) < slack

        (orphan, held), (kept, same) = proxies
        await orphan.close()
        again, found = await configured(following, shop, roots)
        assert held <= found
        assert same <= found
        assert not kept._call.done(), "who was served by the other one noticed nothing"
        await again.close()
        await kept.close()


@asynchronous
async def test_the_command_serves_a_cluster_and_gives_its_lease_back_when_it_is_told_to_go(apiserver):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    addresses = ("--grpc-address", "", "--secure-grpc-address", "127.0.0.1:0", "--http-address", "")
    arguments = ("serve", "--kubernetes", "--kubeconfig", str(apiserver.kubeconfig), *addresses)
    log = (apiserver.folder / f"{system}.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "pilotpy", *arguments, "--monitoring-address", "",
        stdout=asyncio.subprocess.PIPE, stderr=log, env=os.environ | {"POD_NAMESPACE": system, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        async with asyncio.timeout(40):
            said = (await process.stdout.readline()).decode().strip()
        address = said.removeprefix("serving ADS and certificates on ")
        await soon(lambda: roots_in(apiserver, shop.name))
        roots = roots_in(apiserver, shop.name).encode()
        served = Replica("", process, address, system)
        assert await Asking([served], shop.token(), roots)._given(served, Workload())
        assert await leader(apiserver, system)
        process.terminate()
        async with asyncio.timeout(20):
            assert await process.wait() == 0
        assert not await leader(apiserver, system)
    finally:
        log.close()
        if process.returncode is None:
            process.kill()
            await process.wait()
