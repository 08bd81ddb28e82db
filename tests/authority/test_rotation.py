"""A mesh whose root changes while proxies are connected: nobody is cut off, and nothing happens before they trust."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography import x509

from pilotpy.xds.resource_type import CLUSTER, PROXY_CONFIG
from pilotpy_ca import server as ca_server
from pilotpy_ca.commands import Revoke, Rotate, Show
from pilotpy_ca.control import ask
from pilotpy_ca.keeper import Event, Keeper
from pilotpy_ca.terms import Terms
from pilotpy_protos.istio.mesh.v1alpha1.proxy_config_pb2 import ProxyConfig
from tests.asynchronous import asynchronous
from tests.authority.plane import TERMS, Plane, Workload, names, plane, shown_to
from tests.waiting import until
from tests.xds.client import Client

SOON = replace(TERMS, settle=timedelta(milliseconds=100))
BOTH = pytest.mark.parametrize("incremental", [True, False], ids=["incremental", "state of the world"])


async def command(served: Plane, what):
    """Ask the process that keeps the keys, as the command line does."""
    return await asyncio.to_thread(ask, served.keys.folder, what, Terms())


async def phases(served: Plane) -> list[str]:
    return [signer.phase for signer in (await command(served, Show())).status.signers]


async def come_to(served: Plane, expected: list[str]) -> None:
    """Wait for phases."""

    async def there() -> bool:
        found = await phases(served)
        assert len(found) <= 3
        return found == expected

    await until(there)


class Looks:
    """The keeper's looks at its keys, in quick succession."""

    def __init__(self) -> None:
        self.latest = datetime.min.replace(tzinfo=UTC)

    async def settled(self) -> None:
        """Return when there has been a look at which all that was free before this call had been so for long enough."""
        began = datetime.now(UTC)
        await until(lambda: self.latest >= began)
        seen = self.latest
        await until(lambda: self.latest > seen + SOON.settle)


@pytest.fixture
def looks(monkeypatch) -> Looks:
    made, tick = Looks(), Keeper.tick

    def noted(keeper: Keeper, now: datetime) -> Sequence[Event]:
        events = tick(keeper, now)
        made.latest = now
        return events

    monkeypatch.setattr(Keeper, "tick", noted)
    monkeypatch.setattr(ca_server, "_TICK", 0.02)
    return made


async def bundle(client: Client) -> list[str]:
    response = await client.response()
    assert response.type_url == PROXY_CONFIG.url
    (resource,) = response.resources
    body = resource.resource.value if client.incremental else resource.value
    return list(ProxyConfig.FromString(body).ca_certificates_pem)


@BOTH
@asynchronous
async def test_the_signer_changes_once_the_proxy_has_taken_the_new_root_and_not_before(tmp_path, incremental, looks):
    async with plane(tmp_path, terms=SOON) as served:
        identity = await served.identity()
        old = served.roots
        async with served.proxy(identity=identity, incremental=incremental) as client:
            await client.ask(PROXY_CONFIG)
            assert await bundle(client) == [old.decode()]
            await client.answer(PROXY_CONFIG.url)
            await command(served, Rotate())
            both = await bundle(client)
            assert len(both) == 2
            await looks.settled()
            assert await phases(served) == ["active", "prepared"]
            waits = (await command(served, Show())).status.waits
            assert [wait.holders for wait in waits] == [("web.shop",)]
            await client.answer(PROXY_CONFIG.url)
            await come_to(served, ["active", "old"])
            chain = await served.certificate(Workload(), served.token("web"))
            assert names(chain) == ["spiffe://cluster.local/ns/shop/sa/web"]
            assert chain[-1].count("BEGIN CERTIFICATE") == 2
            await come_to(served, ["active"])
            assert await bundle(client) == [pem for pem in both if pem != old.decode()]
            await client.ask(CLUSTER)
            assert (await client.response()).type_url == CLUSTER.url
        assert await asyncio.to_thread(shown_to, served.server.secure_address, served.roots)
        assert served.roots != old


async def takes_all_roots(served, proxy):
    """A proxy says of what is published, before a rotation begins and after, that it has it; and has been heard."""
    await proxy.ask(PROXY_CONFIG)
    await bundle(proxy)
    await proxy.answer(PROXY_CONFIG.url)
    await command(served, Rotate())
    await bundle(proxy)
    await proxy.answer(PROXY_CONFIG.url)
    await proxy.ask(CLUSTER)
    await proxy.response()


@asynchronous
async def test_what_is_said_in_plaintext_is_no_evidence(tmp_path, looks):
    async with plane(tmp_path, terms=SOON) as served:
        await served.identity()
        async with served.proxy(identity=None) as witness:
            await witness.ask(CLUSTER)
            await witness.response()
            async with Client(served.server.address, witness.node, {"NAMESPACE": "shop"}) as liar:
                await takes_all_roots(served, liar)
                await looks.settled()
                assert await phases(served) == ["active", "prepared"]


@asynchronous
async def test_what_one_pod_says_in_the_name_of_another_is_no_evidence(tmp_path, looks):
    async with plane(tmp_path, terms=SOON) as served:
        await served.identity()
        async with served.proxy("web", token=served.token("gateway")) as liar:
            await takes_all_roots(served, liar)
            await looks.settled()
            assert await phases(served) == ["active", "prepared"]
            assert [wait.holders for wait in (await command(served, Show())).status.waits] == [("web.shop",)]


@asynchronous
async def test_a_pod_that_is_gone_is_waited_for_no_longer(tmp_path, looks):
    async with plane(tmp_path, terms=SOON) as served:
        await served.identity()
        await command(served, Rotate())
        await looks.settled()
        assert await phases(served) == ["active", "prepared"]
        (served.folder / "mesh.yaml").write_text("")
        await come_to(served, ["active", "old"])


@asynchronous
async def test_who_is_revoked_is_not_served_by_its_certificate_and_gets_no_other_while_banned(tmp_path):
    async with plane(tmp_path) as served:
        identity = await served.identity()
        await command(served, Revoke(name="spiffe://cluster.local/ns/shop/sa/web", ban=True))
        async with served.proxy(identity=identity) as client:
            assert (await client.refusal())[0] is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.certificate(Workload(), served.token("web"))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


@asynchronous
async def test_a_stream_ends_with_the_certificate_that_it_was_opened_with(tmp_path):
    async with plane(tmp_path) as served:
        identity = await served.identity()
        async with served.proxy(identity=identity) as revoked, served.proxy() as other:
            for client in (revoked, other):
                await client.ask(CLUSTER)
                await client.response()
            await command(served, Revoke(name="spiffe://cluster.local/ns/shop/sa/web"))
            async with asyncio.timeout(10):
                assert (await revoked.status())[0] is grpc.StatusCode.UNAVAILABLE
            await other.ask(PROXY_CONFIG)
            assert await bundle(other), "who showed a token goes on"


@asynchronous
async def test_who_is_banned_is_hung_up_on_and_opens_no_stream_by_its_token_until_the_ban_is_lifted(tmp_path):
    web = "spiffe://cluster.local/ns/shop/sa/web"
    async with plane(tmp_path) as served, served.proxy() as banned, served.proxy("gateway") as other:
        for client in (banned, other):
            await client.ask(CLUSTER)
            await client.response()
        await command(served, Revoke(name=web, ban=True))
        async with asyncio.timeout(5):
            assert await banned.status() == (grpc.StatusCode.UNAUTHENTICATED, "authentication failure")
        async with served.proxy() as again:
            assert await again.refusal() == (grpc.StatusCode.UNAUTHENTICATED, "authentication failure")
        await command(served, Rotate())  # the keys change, and the others stay
        await other.ask(PROXY_CONFIG)
        assert await bundle(other)
        await command(served, Revoke(name=web, unban=True))
        async with served.proxy() as again:
            await again.ask(CLUSTER)
            assert await again.response()


@asynchronous
async def test_what_is_revoked_is_in_a_file_at_once_for_agents_to_read(tmp_path):
    async with plane(tmp_path) as served:
        identity = await served.identity()
        file = served.keys.projected / "crl" / "ca-crl.pem"
        assert file.read_bytes() == b""
        await command(served, Revoke(name="spiffe://cluster.local/ns/shop/sa/web"))
        revoked = x509.load_pem_x509_crl(file.read_bytes())
        serial = x509.load_pem_x509_certificate(identity.chain).serial_number
        assert [one.serial_number for one in revoked] == [serial]


@asynchronous
async def test_keys_outlast_the_process(tmp_path):
    async with plane(tmp_path) as served:
        identity, roots = await served.identity(), served.roots
    async with plane(tmp_path) as served:
        assert served.roots == roots
        async with served.proxy(identity=identity) as client:
            await client.ask(CLUSTER)
            assert (await client.response()).resources
