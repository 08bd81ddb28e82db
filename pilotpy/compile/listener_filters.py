"""From the filter chains of a listener to the listener filters that find out what the chains ask about.

An inspector waits for the client's first bytes. Clients of server-first protocols send none before they hear something,
so a port whose chains do not ask must not wait: each inspector is disabled for such ports, by destination port.
Source: istiod's core/listener_builder.go (populateListenerFilters, buildListenerFilters).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from google.protobuf.message import Message

from pilotpy.compile.pieces import number
from pilotpy.compile.wire import packed
from pilotpy_protos.envoy.config.listener.v3.listener_components_pb2 import (
    FilterChain,
    ListenerFilter,
    ListenerFilterChainMatchPredicate,
)
from pilotpy_protos.envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2 import HttpInspector
from pilotpy_protos.envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2 import OriginalDst
from pilotpy_protos.envoy.extensions.filters.listener.original_src.v3.original_src_pb2 import OriginalSrc
from pilotpy_protos.envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector
from pilotpy_protos.envoy.type.v3.range_pb2 import Int32Range

CAPTURED_MARK: Final = 1337  # of packets that the workload's own traffic rules let pass
_PLAINTEXT = frozenset({"http/1.0", "http/1.1", "h2c"})
_ANY_PORT = 0  # chains without a destination port


def asks_for_tls(chain: FilterChain) -> bool:
    """Whether the chain is chosen by what a TLS client says first."""
    match = chain.filter_chain_match
    return match.transport_protocol == "tls" or bool(match.server_names)


def asks_for_http(chain: FilterChain) -> bool:
    """Whether the chain is chosen by the first line of a request in plaintext."""
    return not _PLAINTEXT.isdisjoint(chain.filter_chain_match.application_protocols)


def outbound_listener_filters(chains: Sequence[FilterChain]) -> list[ListenerFilter]:
    """The inspectors of a listener with one destination; may be empty."""
    found = []
    if any(map(asks_for_tls, chains)):
        found.append(_filter("envoy.filters.listener.tls_inspector", TlsInspector()))
    if any(map(asks_for_http, chains)):
        found.append(_filter("envoy.filters.listener.http_inspector", HttpInspector()))
    return found


def inbound_listener_filters(chains: Sequence[FilterChain], *, captured: bool, as_client: bool) -> list[ListenerFilter]:
    """What restores the addresses of captured connections, then the inspectors.

    ``as_client``: connections to the workload are to come from the client's address.
    """
    found = []
    if captured:
        found.append(_filter("envoy.filters.listener.original_dst", OriginalDst()))
    if as_client:
        found.append(_filter("envoy.filters.listener.original_src", OriginalSrc(mark=CAPTURED_MARK)))
    tls = _asking_ports(chains, asks_for_tls)
    if any(tls.values()):
        inspector = _filter("envoy.filters.listener.tls_inspector", TlsInspector(initial_read_buffer_size=number(512)))
        _disable(inspector, _without_tls(tls))
        found.append(inspector)
    http = _asking_ports(chains, asks_for_http)
    if any(http.values()):
        inspector = _filter("envoy.filters.listener.http_inspector", HttpInspector())
        _disable(inspector, _ports(port for port, asks in http.items() if not asks))
        found.append(inspector)
    return found


def _asking_ports(chains: Iterable[FilterChain], asks: Callable[[FilterChain], bool]) -> dict[int, bool]:
    """Every destination port of the chains, ascending, and whether any chain of it asks."""
    asking: dict[int, bool] = {}
    for chain in chains:
        port = chain.filter_chain_match.destination_port.value or _ANY_PORT
        asking[port] = asking.get(port, False) or asks(chain)
    return dict(sorted(asking.items()))


def _without_tls(asking: dict[int, bool]) -> ListenerFilterChainMatchPredicate | None:
    if asking.get(_ANY_PORT):
        return _ports(port for port, asks in asking.items() if not asks)
    # Ports that nobody has named do not wait either.
    named = _ports(port for port, asks in asking.items() if asks)
    return named and ListenerFilterChainMatchPredicate(not_match=named)


def _ports(ports: Iterable[int]) -> ListenerFilterChainMatchPredicate | None:
    """Any of the ports; None if there are none."""
    predicate = ListenerFilterChainMatchPredicate
    exact = [predicate(destination_port_range=Int32Range(start=port, end=port + 1)) for port in ports]
    if len(exact) <= 1:
        return exact[0] if exact else None
    return predicate(or_match=predicate.MatchSet(rules=exact))


def _disable(inspector: ListenerFilter, predicate: ListenerFilterChainMatchPredicate | None) -> None:
    if predicate is not None:
        inspector.filter_disabled.CopyFrom(predicate)


def _filter(name: str, config: Message) -> ListenerFilter:
    return ListenerFilter(name=name, typed_config=packed(config))
