"""A real Envoy at the other end: it takes what is sent, warms, and loses nothing that it still needs."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from pilotpy.compile.encoded import Encoded
from pilotpy.compile.wire import serialised
from pilotpy.engine import Put
from pilotpy.xds.resource_type import CLUSTER, ENDPOINT, LISTENER, ROUTE
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster
from pilotpy_protos.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from pilotpy_protos.envoy.config.listener.v3.listener_pb2 import Listener
from pilotpy_protos.envoy.config.route.v3.route_pb2 import RouteConfiguration
from pilotpy_protos.envoy.extensions.filters.http.router.v3.router_pb2 import Router
from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from tests.asynchronous import asynchronous
from tests.waiting import until
from tests.xds.client import node_id
from tests.xds.world import THING, World, running

pytestmark = pytest.mark.envoy

ENVOY = Path(sys.executable).with_name("envoy")
PROTOCOLS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
BOTH = pytest.mark.parametrize("api", ["DELTA_GRPC", "GRPC"], ids=["incremental", "state of the world"])


def write(type_, message) -> Put:
    name = message.cluster_name if type_ is ENDPOINT else message.name
    return Put(THING, (type_.url, name), (type_.url, Encoded(name, serialised(message))))


def drop(type_, name) -> Put:
    return Put(THING, (type_.url, name), None)


def cluster(name: str, connections: int = 10) -> Put:
    made = Cluster(name=name, type=Cluster.EDS)
    made.eds_cluster_config.eds_config.ads.SetInParent()
    made.eds_cluster_config.eds_config.resource_api_version = 2
    # As Istio's: wait for endpoints for ever, so that a cluster that is not given them again is seen to hang.
    made.eds_cluster_config.eds_config.initial_fetch_timeout.SetInParent()
    made.circuit_breakers.thresholds.add().max_connections.value = connections
    return write(CLUSTER, made)


def endpoint(name: str, *ports: int) -> Put:
    made = ClusterLoadAssignment(cluster_name=name)
    if ports:
        locality = made.endpoints.add()
        for port in ports:
            at = locality.lb_endpoints.add().endpoint.address.socket_address
            at.address, at.port_value = "127.0.0.1", port
    return write(ENDPOINT, made)


def listener(name: str, port: int, route: str, prefix: str = "a") -> Put:
    made = Listener(name=name)
    made.address.socket_address.address, made.address.socket_address.port_value = "127.0.0.1", port
    manager = hcm.HttpConnectionManager(stat_prefix=prefix)
    manager.rds.route_config_name = route
    manager.rds.config_source.ads.SetInParent()
    manager.rds.config_source.resource_api_version = 2
    manager.http_filters.add(name="router").typed_config.Pack(Router())
    made.filter_chains.add().filters.add(name="http").typed_config.Pack(manager)
    return write(LISTENER, made)


def route(name: str, to: str) -> Put:
    made = RouteConfiguration(name=name)
    host = made.virtual_hosts.add(name="all", domains=["*"])
    way = host.routes.add()
    way.match.prefix = "/"
    way.route.cluster = to
    return write(ROUTE, made)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def bootstrap(ads: str, admin: int, api: str) -> str:
    host, port = ads.split(":")

    def address(number):
        return {"socket_address": {"address": host, "port_value": int(number)}}

    source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    upstream = {
        "name": "ads",
        "load_assignment": {
            "cluster_name": "ads",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
        "typed_extension_protocol_options": {
            PROTOCOLS: {
                "@type": f"type.googleapis.com/{PROTOCOLS}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
    service = {"envoy_grpc": {"cluster_name": "ads"}}
    streams = {"api_type": api, "transport_api_version": "V3", "set_node_on_first_message_only": True}
    return json.dumps(
        {
            "node": {"id": node_id(), "cluster": "web"},
            "admin": {"address": address(admin)},
            "dynamic_resources": {
                "ads_config": streams | {"grpc_services": [service]},
                "lds_config": source,
                "cds_config": source,
            },
            "static_resources": {"clusters": [upstream]},
        }
    )


class Envoy:
    def __init__(self, admin: int) -> None:
        self._admin = f"http://127.0.0.1:{admin}"

    async def page(self, path: str) -> str:
        return await asyncio.to_thread(lambda: urlopen(self._admin + path, timeout=5).read().decode())

    async def stats(self) -> dict[str, int]:
        lines = (await self.page("/stats?filter=update_|warming|workers_started")).splitlines()
        return {name: int(value) for name, _, value in (line.partition(": ") for line in lines) if value.isdigit()}

    async def clusters(self) -> dict[str, dict]:
        found = json.loads(await self.page("/clusters?format=json"))["cluster_statuses"]
        return {each["name"]: each for each in found if each["name"] != "ads"}

    async def until(self, holds, seconds: float = 10) -> None:
        """Wait for a condition on this Envoy."""
        try:
            await until(lambda: holds(self), seconds, passing=OSError)  # it may not be up yet
        except AssertionError as never:
            never.add_note(str(await self.stats()))
            raise


@asynccontextmanager
async def envoy(world: World, folder: Path, api: str):
    admin = free_port()
    file = folder / "bootstrap.json"
    file.write_text(bootstrap(world.address, admin, api))
    process = await asyncio.create_subprocess_exec(
        ENVOY, "-c", file, "--concurrency", "1", "-l", "error", "--use-dynamic-base-id"
    )
    try:
        yield Envoy(admin)
    finally:
        process.terminate()
        await process.wait()


async def live(envoy: Envoy) -> bool:
    return (await envoy.stats())["listener_manager.workers_started"] == 1


def connections(name: str, most: int):
    async def condition(envoy: Envoy) -> bool:
        breakers = (await envoy.clusters())[name]["circuit_breakers"]["thresholds"][0]
        return breakers["max_connections"] == most and (await envoy.stats())["cluster_manager.warming_clusters"] == 0

    return condition


def rejected(stats: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in stats.items() if name.endswith("update_rejected") and value}


@BOTH
@asynchronous
async def test_envoy_starts_takes_changes_and_lets_go_of_what_is_gone(api, tmp_path):
    port = free_port()
    async with running() as world:
        world.change(
            cluster("a"), cluster("b"), endpoint("a", 1), endpoint("b"), listener("l", port, "r"), route("r", "a")
        )
        async with envoy(world, tmp_path, api) as proxy:
            await proxy.until(live)

            world.change(cluster("a", connections=7))  # its endpoints stay the same, and it must get them again
            await proxy.until(connections("a", 7))

            world.change(listener("l", port, "r", prefix="b"))  # likewise its routes
            await proxy.until(lambda e: _held(e, "listener_manager.lds.update_success", 2))

            world.change(drop(CLUSTER, "a"), drop(ENDPOINT, "a"), route("r", "b"))
            await proxy.until(lambda e: _only(e, {"b"}))
            stats = await proxy.stats()
            assert not rejected(stats)
            assert stats["listener_manager.total_listeners_warming"] == 0
            await until(lambda: all(one.finished is not None for one in world.instruments.timeline.records()))


@BOTH
@asynchronous
async def test_what_envoy_refuses_is_told_in_its_words_and_holds_up_nothing_else(api, tmp_path):
    async with running() as world:
        world.change(cluster("a"), endpoint("a", 1), cluster("b"), endpoint("b", 1))
        async with envoy(world, tmp_path, api) as proxy:
            await proxy.until(live)
            bad = Cluster(name="b", type=Cluster.EDS)  # of type EDS, but does not say where from
            world.change(write(CLUSTER, bad), cluster("a", connections=7))
            await proxy.until(connections("a", 7))
            (connection,) = world.edge.connections.values()
            watch = connection.session.watches[CLUSTER.url]
            await until(lambda: watch.refused)
            assert set(watch.refused) == {"b"}
            assert "b" in watch.error
            assert set(await proxy.clusters()) == {"a", "b"}

            world.change(cluster("b", connections=3))
            await proxy.until(connections("b", 3))
            assert not watch.error


async def _held(envoy: Envoy, name: str, least: int) -> bool:
    return (await envoy.stats())[name] >= least


async def _only(envoy: Envoy, names: set[str]) -> bool:
    return set(await envoy.clusters()) == names
