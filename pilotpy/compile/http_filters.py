"""From the kind of an HTTP stream to the filters that it passes, in istiod's order.

Filters that only Istio's Envoy has are left out for others. Source: istiod's core/listener_builder.go and
core/extension; the order is policy and stands in `FILTERS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from pilotpy.compile.guard import Stages
from pilotpy.compile.pieces import flag, packed_struct
from pilotpy.compile.wire import packed
from pilotpy_protos.envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from pilotpy_protos.envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from pilotpy_protos.envoy.extensions.filters.http.grpc_stats.v3.config_pb2 import FilterConfig as GrpcStats
from pilotpy_protos.envoy.extensions.filters.http.grpc_web.v3.grpc_web_pb2 import GrpcWeb
from pilotpy_protos.envoy.extensions.filters.http.router.v3.router_pb2 import Router
from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpFilter,
)
from pilotpy_protos.istio.filters.alpn_pb2 import FilterConfig as Alpn
from pilotpy_protos.istio.filters.stats_pb2 import PluginConfig


class Direction(Enum):
    """Which way traffic goes, seen from the workload."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Stream(NamedTuple):
    """What decides about the filters of an HTTP stream."""

    direction: Direction
    istio: bool  # this Envoy has Istio's filters
    metrics: bool = False  # Istio's standard metrics are wanted
    grpc_web: bool = False  # the port is declared to speak gRPC-Web
    in_mesh_only: bool = False  # nothing about the peer is told to services outside the mesh
    debug_headers: bool = True  # Envoy's own x-envoy-* headers are added
    guard: Stages = Stages()  # what authenticates and authorizes


def http_filters(stream: Stream) -> list[HttpFilter]:
    """The filters, the router last."""
    return [found for kind in FILTERS for found in kind(stream)]


def peer_metadata(stream: Stream) -> Iterator[HttpFilter]:
    """Learns who the peer is, and tells it who we are, for metrics and logs."""
    if not stream.istio:
        return
    side = "downstream" if stream.direction is Direction.INBOUND else "upstream"
    headers = {"skip_external_clusters": True} if stream.in_mesh_only else {}
    config = {
        f"{side}_discovery": [{"istio_headers": {}}, {"workload_discovery": {}}],
        f"{side}_propagation": [{"istio_headers": headers}],
    }
    typed = packed_struct("io.istio.http.peer_metadata.Config", config)
    yield HttpFilter(name="istio.metadata_exchange", typed_config=typed)


def custom(stream: Stream) -> Iterator[HttpFilter]:
    """Asks others about requests, before anything is known of their tokens."""
    yield from map(HttpFilter.FromString, stream.guard.custom)


def tokens(stream: Stream) -> Iterator[HttpFilter]:
    """Verifies tokens."""
    yield from map(HttpFilter.FromString, stream.guard.tokens)


def authorization(stream: Stream) -> Iterator[HttpFilter]:
    """Lets pass what policies let pass."""
    yield from map(HttpFilter.FromString, stream.guard.rules)


def grpc_web(stream: Stream) -> Iterator[HttpFilter]:
    """Translates gRPC-Web into gRPC."""
    if not stream.grpc_web:
        return
    yield HttpFilter(name="envoy.filters.http.grpc_web", typed_config=packed(GrpcWeb()))


def grpc_stats(_: Stream) -> Iterator[HttpFilter]:
    """Counts gRPC messages."""
    config = GrpcStats(emit_filter_state=True, stats_for_all_methods=flag(False))
    yield HttpFilter(name="envoy.filters.http.grpc_stats", typed_config=packed(config))


def alpn(stream: Stream) -> Iterator[HttpFilter]:
    """Offers Istio's protocols upstream, by what the stream really speaks."""
    if not stream.istio or stream.direction is Direction.INBOUND:
        return
    offers = (
        (Alpn.HTTP10, ["istio-http/1.0", "istio", "http/1.0"]),
        (Alpn.HTTP11, ["istio-http/1.1", "istio", "http/1.1"]),
        (Alpn.HTTP2, ["istio-h2", "istio", "h2"]),
    )
    overrides = [Alpn.AlpnOverride(upstream_protocol=spoken, alpn_override=offer) for spoken, offer in offers]
    yield HttpFilter(name="istio.alpn", typed_config=packed(Alpn(alpn_override=overrides)))


def fault(_: Stream) -> Iterator[HttpFilter]:
    """Injects the faults that a route asks for."""
    yield HttpFilter(name="envoy.filters.http.fault", typed_config=packed(HTTPFault()))


def cors(_: Stream) -> Iterator[HttpFilter]:
    """Answers preflights of routes with a CORS policy."""
    yield HttpFilter(name="envoy.filters.http.cors", typed_config=packed(Cors()))


def istio_stats(stream: Stream) -> Iterator[HttpFilter]:
    """Istio's standard metrics of requests."""
    if not stream.istio or not stream.metrics:
        return
    config = PluginConfig(disable_host_header_fallback=stream.direction is Direction.INBOUND)
    yield HttpFilter(name="istio.stats", typed_config=packed(config))


def router(stream: Stream) -> Iterator[HttpFilter]:
    """Sends the request on."""
    config = Router(suppress_envoy_headers=not stream.debug_headers)
    yield HttpFilter(name="envoy.filters.http.router", typed_config=packed(config))


FILTERS = (
    peer_metadata,
    custom,
    tokens,
    authorization,
    grpc_web,
    grpc_stats,
    alpn,
    fault,
    cors,
    istio_stats,
    router,
)
