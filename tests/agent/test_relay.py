"""The relay over real sockets: both ends, their ends, and what the agent takes for itself."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest

from pilotpy.agent.dns_proxy import Resolver
from pilotpy.agent.name_book import Found
from pilotpy.agent.pod_agent import PodAgent
from pilotpy.agent.relay_session import Health
from pilotpy.xds.resource_type import CLUSTER, HEALTH_URL, LISTENER, NAME_TABLE, PROXY_CONFIG
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse
from pilotpy_protos.istio.mesh.v1alpha1.proxy_config_pb2 import ProxyConfig
from pilotpy_protos.istio.networking.nds.v1.nds_pb2 import NameTable
from tests.agent.plane import ADS, Issuer, asynchronous, pem, running
from tests.agent.pods import settings, short_folder
from tests.waiting import until

RESOLVER = Resolver(namespace="shop", port=0)


@asynccontextmanager
async def relayed(**changes):
    with short_folder() as folder:
        async with running(folder) as plane, PodAgent(settings(plane, folder, **changes)) as agent:
            yield plane, agent


@asynccontextmanager
async def envoys_stream(agent):
    """A discovery stream as Envoy opens it."""
    async with grpc.aio.insecure_channel(f"unix:{agent.settings.xds_socket}") as channel:
        call = channel.stream_stream(
            f"/{ADS}/StreamAggregatedResources",
            request_serializer=DiscoveryRequest.SerializeToString,
            response_deserializer=DiscoveryResponse.FromString,
        )()
        yield call
        call.cancel()


async def types(stream, count: int) -> list[str]:
    return [(await stream.read(DiscoveryRequest)).type_url for _ in range(count)]


@asynchronous
async def test_questions_go_up_with_the_token_and_answers_come_down():
    async with relayed() as (plane, agent), envoys_stream(agent) as envoy:
        await envoy.write(DiscoveryRequest(type_url=CLUSTER.url))
        stream = await plane.stream()
        assert stream.metadata["authorization"] == f"Bearer {plane.token}"
        assert stream.metadata["clusterid"] == "Kubernetes"
        assert await types(stream, 1) == [CLUSTER.url]
        await stream.write(DiscoveryResponse(type_url=CLUSTER.url, nonce="1"))
        assert (await envoy.read()).nonce == "1"
        assert agent.relay.connected


@asynchronous
async def test_names_and_roots_are_used_and_acknowledged():
    async with relayed(resolver=RESOLVER) as (plane, agent), envoys_stream(agent) as envoy:
        assert await agent.ready() == "no table of names received from the control plane"
        await until(lambda: agent.holding.now.certificate)
        await envoy.write(DiscoveryRequest(type_url=LISTENER.url))
        stream = await plane.stream()
        assert await types(stream, 3) == [LISTENER.url, NAME_TABLE.url, PROXY_CONFIG.url]

        table = NameTable()
        table.table["api.example.com"].ips.append("10.0.0.1")
        answer = DiscoveryResponse(type_url=NAME_TABLE.url, nonce="1", version_info="v")
        answer.resources.add().Pack(table)
        await stream.write(answer)
        request = await stream.read(DiscoveryRequest)
        assert (request.type_url, request.response_nonce, request.version_info) == (NAME_TABLE.url, "1", "v")
        assert agent.dns.book.find("api.example.com", version=4) == Found("api.example.com", ("10.0.0.1",))

        other = pem(Issuer("other").root)
        answer = DiscoveryResponse(type_url=PROXY_CONFIG.url, nonce="2", version_info="v")
        answer.resources.add().Pack(ProxyConfig(ca_certificates_pem=[other]))
        await stream.write(answer)
        assert not (await stream.read(DiscoveryRequest)).HasField("error_detail")
        assert other.encode() in agent.holding.now.roots

        answer = DiscoveryResponse(type_url=PROXY_CONFIG.url, nonce="3", version_info="w")
        answer.resources.add().Pack(ProxyConfig(ca_certificates_pem=["no root"]))
        await stream.write(answer)
        assert "cannot be read" in (await stream.read(DiscoveryRequest)).error_detail.message
        assert other.encode() in agent.holding.now.roots


@asynchronous
async def test_roots_are_acknowledged_once_envoy_has_them():
    async with relayed() as (plane, agent), envoys_stream(agent) as envoy:
        await until(lambda: agent.holding.now.certificate)
        async with grpc.aio.insecure_channel(f"unix:{agent.settings.sds_socket}") as channel:
            secrets = channel.stream_stream(
                "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
                request_serializer=DiscoveryRequest.SerializeToString,
                response_deserializer=DiscoveryResponse.FromString,
            )()
            await secrets.write(DiscoveryRequest(resource_names=["ROOTCA"]))
            first = await secrets.read()
            await secrets.write(DiscoveryRequest(resource_names=["ROOTCA"], response_nonce=first.nonce))

            await envoy.write(DiscoveryRequest(type_url=LISTENER.url))
            stream = await plane.stream()
            await types(stream, 2)
            answer = DiscoveryResponse(type_url=PROXY_CONFIG.url, nonce="1", version_info="v")
            answer.resources.add().Pack(ProxyConfig(ca_certificates_pem=[pem(Issuer("other").root)]))
            await stream.write(answer)
            second = await secrets.read()
            acknowledged = asyncio.ensure_future(stream.read(DiscoveryRequest))
            await envoy.write(DiscoveryRequest(type_url=CLUSTER.url))  # overtakes it
            assert (await acknowledged).type_url == CLUSTER.url
            await secrets.write(DiscoveryRequest(resource_names=["ROOTCA"], response_nonce=second.nonce))
            assert (await stream.read(DiscoveryRequest)).response_nonce == "1"
            secrets.cancel()


@asynchronous
async def test_health_is_told_on_this_stream_and_the_next():
    async with relayed() as (plane, agent):
        await agent.relay.report(Health(healthy=False, reason="refused"))
        for _ in range(2):
            async with envoys_stream(agent) as envoy:
                await envoy.write(DiscoveryRequest(type_url=LISTENER.url))
                stream = await plane.stream()
                assert await types(stream, 2) == [LISTENER.url, PROXY_CONFIG.url]
                told = await stream.read(DiscoveryRequest)
                assert (told.type_url, told.error_detail.message) == (HEALTH_URL, "refused")


@asynchronous
async def test_a_new_stream_of_envoy_replaces_the_old():
    async with relayed() as (plane, agent), envoys_stream(agent) as first:
        await first.write(DiscoveryRequest(type_url=CLUSTER.url))
        await plane.stream()
        async with envoys_stream(agent) as second:
            await second.write(DiscoveryRequest(type_url=CLUSTER.url))
            await plane.stream()
            assert await first.read() is grpc.aio.EOF
            assert agent.relay.connected


@asynchronous
async def test_when_the_control_plane_goes_envoy_is_told_and_may_come_back():
    async with relayed() as (plane, agent):
        async with envoys_stream(agent) as envoy:
            await envoy.write(DiscoveryRequest(type_url=CLUSTER.url))
            await plane.stream()
            await plane.stop()
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await envoy.read()
            assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        await until(lambda: not agent.relay.connected)
        await plane.start()
        async with envoys_stream(agent) as envoy:
            await envoy.write(DiscoveryRequest(type_url=CLUSTER.url))
            assert await types(await plane.stream(), 1) == [CLUSTER.url]


@asynchronous
async def test_a_token_that_is_refused_is_told_to_envoy_without_being_shown():
    async with relayed() as (plane, agent):
        plane.token = "another"
        async with envoys_stream(agent) as envoy:
            await envoy.write(DiscoveryRequest(type_url=CLUSTER.url))
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await envoy.read()
            assert ended.value.details() == "UNAUTHENTICATED: authentication failure"


@asynchronous
async def test_a_socket_whose_file_is_removed_comes_back():
    async with relayed() as (plane, agent):
        agent.settings.sds_socket.unlink()
        agent.settings.xds_socket.unlink()
        await until(lambda: agent.settings.sds_socket.exists() and agent.settings.xds_socket.exists())
        async with envoys_stream(agent) as envoy:
            await envoy.write(DiscoveryRequest(type_url=CLUSTER.url))
            assert await types(await plane.stream(), 1) == [CLUSTER.url]


@asynchronous
async def test_sockets_are_for_one_user_only():
    async with relayed() as (_, agent):
        for path in (agent.settings.sds_socket, agent.settings.xds_socket):
            assert path.stat().st_mode & 0o077 == 0
            assert path.parent.stat().st_mode & 0o077 == 0


@asynchronous
async def test_a_path_that_no_socket_can_have_is_refused_in_a_sentence(tmp_path):
    with short_folder() as folder:
        async with running(folder) as plane:
            with pytest.raises(OSError, match="at most 107 bytes"):
                async with PodAgent(settings(plane, folder, sds_socket=tmp_path / ("x" * 100))):
                    pass


@asynchronous
async def test_no_log_has_a_key_or_a_token(caplog):
    caplog.set_level(logging.DEBUG)
    async with relayed() as (plane, agent):
        await until(lambda: agent.holding.now.certificate)
        keys = [agent.holding.now.certificate.key.pem().decode().splitlines()[1]]
        plane.token = "another"
        agent.identity.renew()
        await until(lambda: agent.identity.failures > 1)
        assert "no certificate" in caplog.text
        said = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
        assert not [line for line in said for secret in (*keys, "token-of-the-day") if secret in line]


@asynchronous
async def test_a_certificate_is_written_to_files_only_where_asked_for():
    with short_folder() as folder:
        async with running(folder) as plane, PodAgent(settings(plane, folder, output=folder / "out")) as agent:
            await until((folder / "out" / "root-cert.pem").exists)
            assert (folder / "out" / "cert-chain.pem").read_bytes() == agent.holding.now.certificate.chain
            assert (folder / "out" / "key.pem").stat().st_mode & 0o777 == 0o600
    with short_folder() as folder:
        async with running(folder) as plane, PodAgent(settings(plane, folder)) as agent:
            await until(lambda: agent.holding.now.certificate)
            secret = agent.holding.now.certificate.key.pem().splitlines()[1]
            assert not [file for file in folder.rglob("*") if file.is_file() and secret in file.read_bytes()]
