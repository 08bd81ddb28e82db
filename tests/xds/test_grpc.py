"""What any gRPC client may expect of the port: health, reflection, limits."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from pilotpy.xds.grpc_transport import GrpcTransport
from pilotpy.xds.resource_type import CLUSTER
from tests.asynchronous import asynchronous
from tests.xds.client import Client
from tests.xds.world import running

ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"


@asynchronous
async def test_it_says_that_it_is_healthy():
    async with running() as world, grpc.aio.insecure_channel(world.address) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=ADS))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@asynchronous
async def test_it_says_which_services_it_has():
    async with running() as world, grpc.aio.insecure_channel(world.address) as channel:
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        services = {service.name for service in (await call.read()).list_services_response.service}
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=ADS))
        files = (await call.read()).file_descriptor_response.file_descriptor_proto
        call.cancel()
    assert ADS in services
    assert files


@asynchronous
async def test_a_request_above_four_mebibytes_is_refused():
    async with running() as world, Client(world.address) as client:
        await client.ask(CLUSTER, ["x" * (5 << 20)])
        assert (await client.status())[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


@asynchronous
async def test_an_address_that_is_taken_is_said():
    async with running() as world:
        with pytest.raises(OSError, match="cannot listen"):
            await GrpcTransport(world.address).start(world.edge.serve)
