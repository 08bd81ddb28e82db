"""From a port of the workload to the filter chains that take its connections.

Which chains a port has is a table: how strictly it wants mutual TLS, and what it speaks. Source: istiod's
core/listener_inbound.go and getFilterChainMatchOptions.
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import Final, NamedTuple

from pilotpy.compile.http_connection import HTTP_ALPN, as_filter, inline_routes, plaintext_protocols
from pilotpy.compile.listener_settings import Terms
from pilotpy.compile.naming import BLACK_HOLE, INBOUND_PASSTHROUGH, inbound_cluster_name
from pilotpy.compile.network_filters import guard_filters, metrics_filters, peer_filters, tcp_proxy, to_cluster
from pilotpy.compile.pieces import flag, number, origin
from pilotpy.mesh.service import Protocol
from pilotpy.mesh.view import Mode
from pilotpy.model.resource import Ref
from pilotpy_protos.envoy.config.core.v3.base_pb2 import TransportSocket
from pilotpy_protos.envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, FilterChainMatch
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import (
    Decorator,
    RetryPolicy,
    Route,
    RouteAction,
    RouteMatch,
    VirtualHost,
)
from pilotpy_protos.envoy.config.route.v3.route_pb2 import RouteConfiguration


class Spoken(Enum):
    """What a port speaks, as far as chains differ."""

    HTTP = "HTTP"
    TCP = "TCP"
    SNIFFED = "sniffed"


class Row(NamedTuple):
    """One filter chain: which connections it takes, and as what."""

    http: bool
    transport: str
    protocols: tuple[str, ...] = ()  # application protocols; empty: any
    mutual: bool = False  # it ends mutual TLS; else what comes goes on as it is


PEER_HTTP: Final = ("istio-http/1.0", "istio-http/1.1", "istio-h2")  # offered by clients of the mesh, as they speak
PEER_TCP: Final = ("istio-peer-exchange", "istio")
PEER: Final = ("istio", "istio-peer-exchange", *PEER_HTTP)

_PLAIN_HTTP = Row(http=True, transport="raw_buffer")
_PLAIN_TCP = Row(http=False, transport="raw_buffer")
_SNIFFED_HTTP = Row(http=True, transport="raw_buffer", protocols=HTTP_ALPN)
_OWN_TLS = Row(http=False, transport="tls")  # the application's own
_MUTUAL_HTTP = Row(http=True, transport="tls", mutual=True)
_MUTUAL_TCP = Row(http=False, transport="tls", mutual=True)

CHAINS: Final = {
    (Mode.STRICT, Spoken.HTTP): (_MUTUAL_HTTP,),
    (Mode.STRICT, Spoken.TCP): (_MUTUAL_TCP,),
    (Mode.STRICT, Spoken.SNIFFED): (_MUTUAL_HTTP._replace(protocols=PEER_HTTP), _MUTUAL_TCP),
    (Mode.PERMISSIVE, Spoken.HTTP): (_MUTUAL_HTTP._replace(protocols=PEER), _PLAIN_HTTP),
    (Mode.PERMISSIVE, Spoken.TCP): (_MUTUAL_TCP._replace(protocols=PEER), _OWN_TLS, _PLAIN_TCP),
    (Mode.PERMISSIVE, Spoken.SNIFFED): (
        _MUTUAL_HTTP._replace(protocols=PEER_HTTP),
        _SNIFFED_HTTP,
        _MUTUAL_TCP._replace(protocols=PEER_TCP),
        _PLAIN_TCP,
        _OWN_TLS,
    ),
    (Mode.DISABLE, Spoken.HTTP): (_PLAIN_HTTP,),
    (Mode.DISABLE, Spoken.TCP): (_PLAIN_TCP,),
    (Mode.DISABLE, Spoken.SNIFFED): (_SNIFFED_HTTP, _PLAIN_TCP),
}
"""By what a port insists on, and what it speaks: its chains, in istiod's order."""


class InboundPort(NamedTuple):
    """A port of the workload, as its chains see it."""

    target: int  # the workload's number; 0: all that nothing else is said of
    number: int  # the service's number
    protocol: Protocol
    host: str  # of the service that clients call
    bind: str = ""  # a listener of its own is bound to this address; empty: captured
    sidecar: Ref | None = None  # the Sidecar that declares the port
    stat_prefix: str = ""  # of its TCP statistics; empty: the cluster's name
    served: bool = True  # False: no service or Sidecar names it, what comes is passed on to where it was going


ANY_PORT: Final = InboundPort(target=0, number=0, protocol=Protocol.AUTO, host="", served=False)


class Termination(NamedTuple):
    """How mutual TLS ends."""

    http: TransportSocket
    tcp: TransportSocket


def inbound_chains(port: InboundPort, mode: Mode, termination: Termination, terms: Terms) -> list[FilterChain]:
    """The chains of a port. The most specific match counts, wherever it stands."""
    chains = []
    for row in CHAINS[mode, _spoken(port.protocol)]:
        chain = _chain(port, row, terms)
        if row.mutual:
            chain.transport_socket.CopyFrom(termination.http if row.http else termination.tcp)
        chains.append(chain)
    return chains


def loop_guard(terms: Terms) -> FilterChain:
    """Ends connections to the capturing port itself, which would otherwise be sent to it again for ever."""
    match = FilterChainMatch(destination_port=number(terms.settings.inbound_port))
    route = tcp_proxy(to_cluster(BLACK_HOLE, terms.listening.idle_timeout), terms)
    filters = [*peer_filters(terms), *metrics_filters(terms), route]
    return FilterChain(name="virtualInbound-blackhole", filter_chain_match=match, filters=filters)


def _spoken(protocol: Protocol) -> Spoken:
    if protocol.is_http:
        return Spoken.HTTP
    return Spoken.SNIFFED if protocol is Protocol.AUTO else Spoken.TCP


def _chain(port: InboundPort, row: Row, terms: Terms) -> FilterChain:
    chain = FilterChain(name=_name(port, row, terms), filters=_filters(port, row, terms))
    match = chain.filter_chain_match
    match.transport_protocol = row.transport
    match.application_protocols.extend(plaintext_protocols(terms) if row.protocols == HTTP_ALPN else row.protocols)
    if port.target:
        match.destination_port.value = port.target
    if port.sidecar is not None:
        chain.metadata.CopyFrom(origin(port.sidecar))
    return chain


def _name(port: InboundPort, row: Row, terms: Terms) -> str:
    if port.served:
        return f"{port.bind or terms.wildcard}_{port.target}"
    return "virtualInbound-catchall-http" if row.http else "virtualInbound"


def _filters(port: InboundPort, row: Row, terms: Terms) -> list[Filter]:
    cluster = inbound_cluster_name(port.target) if port.served else INBOUND_PASSTHROUGH
    if not row.http:
        route = to_cluster(cluster, terms.listening.idle_timeout)._replace(stat_prefix=port.stat_prefix or cluster)
        guards = guard_filters(terms.guard.tcp)
        return [*peer_filters(terms), *guards, *metrics_filters(terms), tcp_proxy(route, terms)]
    prefix = f"inbound_{_name(port, row, terms)}" if port.served else cluster
    grpc_web = port.protocol is Protocol.GRPC_WEB
    manager = inline_routes(_routes(port, cluster), prefix, terms, grpc_web=grpc_web)
    return [*peer_filters(terms), as_filter(manager)]


def _routes(port: InboundPort, cluster: str) -> RouteConfiguration:
    action = RouteAction(
        cluster=cluster,
        timeout=timedelta(0),
        max_stream_duration=RouteAction.MaxStreamDuration(
            max_stream_duration=timedelta(0), grpc_timeout_header_max=timedelta(0)
        ),
    )
    if port.protocol not in {Protocol.GRPC, Protocol.GRPC_WEB}:
        # The application may close an idle connection as a request sets out on it.
        retry = RetryPolicy(retry_on="reset-before-request", num_retries=number(2))
        action.retry_policy.CopyFrom(retry)
    route = Route(
        name="default",
        match=RouteMatch(prefix="/"),
        route=action,
        decorator=Decorator(operation=f"{port.host}:{port.number}/*"),
    )
    host = VirtualHost(name=f"inbound|http|{port.number}", domains=["*"], routes=[route])
    return RouteConfiguration(name=cluster, virtual_hosts=[host], validate_clusters=flag(False))
