"""From the ways that connections to a slot go to its filter chains, and from these to the listener.

Source: istiod's core/listener.go (buildListenerFromEntry and its kin).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from pilotpy.compile.access_log import listener_logs
from pilotpy.compile.encoded import Encoded
from pilotpy.compile.http_connection import as_filter, plaintext_protocols
from pilotpy.compile.listener_filters import asks_for_http, outbound_listener_filters
from pilotpy.compile.listener_settings import Terms
from pilotpy.compile.network_filters import mongo_proxy, tcp_filters, to_cluster
from pilotpy.compile.opaque_routes import Way
from pilotpy.compile.outbound import Slot
from pilotpy.compile.pieces import address, flag, origin, prefix_range
from pilotpy.compile.wire import serialised
from pilotpy_protos.envoy.config.core.v3.base_pb2 import TrafficDirection
from pilotpy_protos.envoy.config.listener.v3.listener_components_pb2 import FilterChain, FilterChainMatch
from pilotpy_protos.envoy.config.listener.v3.listener_pb2 import Listener
from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

TRANSPORT_SETUP: Final = timedelta(seconds=15)


def opaque_chain(way: Way, common: Terms) -> FilterChain:
    """The chain of connections that are passed on as they are."""
    filters = tcp_filters(way.route, common)
    if way.mongo:
        filters.insert(0, mongo_proxy(way.route.stat_prefix))
    chain = FilterChain(filters=filters, transport_socket_connect_timeout=TRANSPORT_SETUP)
    if way.origin is not None:
        chain.metadata.CopyFrom(origin(way.origin))
    if way.server_names:
        chain.filter_chain_match.server_names.extend(way.server_names)
    if way.subnets:
        chain.filter_chain_match.prefix_ranges.extend(map(prefix_range, way.subnets))
    return chain


def http_chain(manager: HttpConnectionManager, common: Terms, *, sniffed: bool = True) -> FilterChain:
    """The chain of HTTP. If sniffed, only plaintext that is HTTP takes it."""
    chain = FilterChain(filters=[as_filter(manager)], transport_socket_connect_timeout=TRANSPORT_SETUP)
    if sniffed:
        match = FilterChainMatch(transport_protocol="raw_buffer", application_protocols=plaintext_protocols(common))
        chain.filter_chain_match.CopyFrom(match)
    return chain


def outbound_listener(slot: Slot, chains: Sequence[FilterChain], fallback: str, common: Terms) -> Encoded:
    """The listener of a slot; connections that no chain takes go to the cluster `fallback`.

    No two of the chains match the same connections.
    """
    listener = outbound_frame(slot, common)
    matching = [chain for chain in chains if chain.HasField("filter_chain_match")]
    others = [chain for chain in chains if not chain.HasField("filter_chain_match")]
    if not others:
        route = to_cluster(fallback, common.listening.idle_timeout)
        others = [FilterChain(name="PassthroughFilterChain", filters=tcp_filters(route, common))]
    if not matching:
        listener.filter_chains.extend(others)
        return Encoded(listener.name, serialised(listener))
    listener.filter_chains.extend(matching)
    listener.default_filter_chain.CopyFrom(others[0])
    listener.listener_filters.extend(outbound_listener_filters(matching))
    if any(map(asks_for_http, matching)):
        listener.listener_filters_timeout.FromTimedelta(common.settings.detection_timeout)
    return Encoded(listener.name, serialised(listener))


def outbound_frame(slot: Slot, common: Terms) -> Listener:
    """An outbound listener without filter chains."""
    return Listener(
        name=listener_name(slot),
        address=address(slot.address, slot.port),
        traffic_direction=TrafficDirection.OUTBOUND,
        access_log=listener_logs(common.settings.logging, istio=common.istio),
        listener_filters_timeout=timedelta(0),
        continue_on_listener_filters_timeout=True,
        bind_to_port=None if slot.bound else flag(False),
    )


def listener_name(slot: Slot) -> str:
    """The listener that fills a slot, as istiod names it."""
    return f"{slot.address}_{slot.port}"
