"""The way of one connection, and perhaps a request on it, through what a proxy is served: as Envoy would go.

From listeners and route tables, as messages, to the listener, the chain, the virtual host, the route and the clusters
that it meets. Filters that could end it earlier (authorization, faults) are not asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from pilotpy.explain.chains import chain_of, listener_of
from pilotpy.explain.connection import Connection, Request
from pilotpy.explain.tables import Unexplained, route_of, virtual_host_of
from pilotpy_protos.envoy.config.listener.v3.listener_components_pb2 import FilterChain
from pilotpy_protos.envoy.config.listener.v3.listener_pb2 import Listener
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from pilotpy_protos.envoy.config.route.v3.route_pb2 import RouteConfiguration
from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from pilotpy_protos.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from pilotpy_protos.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext

OUTBOUND: Final = "virtualOutbound"
INBOUND: Final = "virtualInbound"


class End(StrEnum):
    """Where a way ends before it has reached a cluster."""

    NO_LISTENER = "no listener takes the connection"
    NO_CHAIN = "no filter chain takes the connection: it is closed"
    TLS_EXPECTED = "the chain terminates TLS, and this is plaintext"
    NOT_HTTP = "the chain reads HTTP, and this is something else"
    NO_HOST = "no virtual host has this domain: 404"
    NO_ROUTE = "no route of the virtual host takes the request: 404"
    TLS_REQUIRED = "the virtual host sends plaintext away, to https"


class Way(NamedTuple):
    """What a connection met, as far as it came."""

    listener: Listener | None = None
    chain: FilterChain | None = None
    table: str = ""  # the name of the route configuration; "": inline, or none
    host: VirtualHost | None = None
    route: Route | None = None
    clusters: tuple[tuple[str, int], ...] = ()  # with weights; empty: it ended, or the route itself answers
    end: End | None = None


def outbound_way(
    listeners: Sequence[Listener],
    tables: Mapping[str, RouteConfiguration],
    connection: Connection,
    request: Request | None = None,
) -> Way:
    """Return the way of what the workload sends. Raises ``Unexplained`` and ``Ambiguous``."""
    return _way(listener_of(listeners, connection, captured_by=OUTBOUND), tables, connection, request)


def inbound_way(
    listeners: Sequence[Listener],
    tables: Mapping[str, RouteConfiguration],
    connection: Connection,
    request: Request | None = None,
) -> Way:
    """Return the way of what is sent to the workload. Raises ``Unexplained`` and ``Ambiguous``."""
    return _way(listener_of(listeners, connection, captured_by=INBOUND), tables, connection, request)


def termination(chain: FilterChain) -> DownstreamTlsContext | None:
    """Return how a chain terminates TLS; None: it does not."""
    context = DownstreamTlsContext()
    return context if chain.transport_socket.typed_config.Unpack(context) else None


def _way(
    listener: Listener | None,
    tables: Mapping[str, RouteConfiguration],
    connection: Connection,
    request: Request | None,
) -> Way:
    if listener is None:
        return Way(end=End.NO_LISTENER)
    chain = chain_of(listener, connection)
    if chain is None:
        return Way(listener, end=End.NO_CHAIN)
    way = Way(listener, chain)
    terminates = termination(chain) is not None
    if terminates and not connection.tls:
        return way._replace(end=End.TLS_EXPECTED)
    http, tcp = HttpConnectionManager(), TcpProxy()
    for one in chain.filters:
        if one.typed_config.Unpack(tcp):
            weighted = ((cluster.name, cluster.weight) for cluster in tcp.weighted_clusters.clusters)
            return way._replace(clusters=_clusters(tcp.cluster, weighted))
        if one.typed_config.Unpack(http):
            if request is None or connection.tls != terminates:
                return way._replace(end=End.NOT_HTTP)
            return _http_way(way, http, tables, connection, request)
    raise Unexplained(f"chain {chain.name} of {listener.name}, which neither reads HTTP nor forwards TCP")


def _http_way(
    way: Way,
    http: HttpConnectionManager,
    tables: Mapping[str, RouteConfiguration],
    connection: Connection,
    request: Request,
) -> Way:
    named = http.rds.route_config_name
    table = tables.get(named, RouteConfiguration(name=named)) if http.HasField("rds") else http.route_config
    way = way._replace(table=named)
    host = virtual_host_of(table, request.authority)
    if host is None:
        return way._replace(end=End.NO_HOST)
    way = way._replace(host=host)
    if host.require_tls == VirtualHost.ALL and not connection.tls:
        return way._replace(end=End.TLS_REQUIRED)
    route = route_of(host, request)
    if route is None:
        return way._replace(end=End.NO_ROUTE)
    weighted = ((cluster.name, cluster.weight.value) for cluster in route.route.weighted_clusters.clusters)
    return way._replace(route=route, clusters=_clusters(route.route.cluster, weighted))


def _clusters(one: str, several: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    return ((one, 1),) if one else tuple(several)
