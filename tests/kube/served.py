"""A control plane that follows a cluster, and proxies that ask it; nobody proves anything here."""

import asyncio
from contextlib import asynccontextmanager

from pilotpy.follow import following
from pilotpy.gather import gathered
from pilotpy.ops.instruments import instruments
from pilotpy.ops.settings import Settings
from pilotpy.sources.folder import Folder
from pilotpy.sources.kubernetes.login import default_login
from pilotpy.xds.resource_type import ENDPOINT, ROUTE
from pilotpy_protos.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from pilotpy_protos.envoy.config.route.v3.route_pb2 import RouteConfiguration
from tests.xds.client import Sidecar, node_id

NOWHERE = Settings(http_address="", monitoring_address="", grpc_address="127.0.0.1:0", secure_grpc_address="")


@asynccontextmanager
async def serving(apiserver, folder=(), system="istio-system"):
    settings, watched_with = NOWHERE._replace(system_namespace=system), instruments()
    login = default_login(apiserver.kubeconfig)
    async with (
        gathered(Folder(folder), login, settings, watched_with.metrics) as source,
        following(source, settings, None, watched_with) as server,
    ):
        yield server


@asynccontextmanager
async def sidecar(address, pod="web-1", namespace="default", **metadata):
    async with Sidecar(address, node_id(pod, namespace)) as proxy:
        proxy.metadata.update(metadata)
        following = asyncio.create_task(proxy.follow())
        try:
            yield proxy
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def until(proxy, holds, seconds=20):
    """Wait until a proxy has what it should have."""
    async with asyncio.timeout(seconds):
        while not holds():
            await proxy.until(proxy.responses + 1)


def destinations(proxy, service):
    """Where the requests to a service of a proxy's own namespace go, by all routes that it has."""
    host = f"{service}.{proxy.node.split('~')[2].split('.')[1]}"
    tables = [RouteConfiguration.FromString(body) for body in proxy.held[ROUTE.url].resources.values()]
    hosts = [one for table in tables for one in table.virtual_hosts if one.name.startswith(f"{host}.")]
    return {route.route.cluster.split("|")[-1].split(".")[0] for one in hosts for route in one.routes}


def domains(proxy):
    """All that a proxy knows services by."""
    tables = [RouteConfiguration.FromString(body) for body in proxy.held[ROUTE.url].resources.values()]
    return {domain for table in tables for one in table.virtual_hosts for domain in one.domains}


def places(proxy, cluster):
    """Addresses and zones of a cluster's endpoints."""
    body = proxy.held[ENDPOINT.url].resources.get(cluster)
    return {
        (one.endpoint.address.socket_address.address, local.locality.zone)
        for local in (ClusterLoadAssignment.FromString(body).endpoints if body else ())
        for one in local.lb_endpoints
    }
