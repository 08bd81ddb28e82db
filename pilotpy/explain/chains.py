"""Which listener takes a connection that was captured, and which of its filter chains: as Envoy chooses.

A chain is chosen property by property, in a fixed order. At each, the closest match wins, and chains that do not
mention the property stand in only where no chain that does matches; what is ruled out is never looked at again.
Source: envoy/config/listener/v3/listener_components.proto (FilterChainMatch), listener.proto (use_original_dst).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address, ip_network

from pilotpy.explain.connection import Connection
from pilotpy_protos.envoy.config.core.v3.address_pb2 import SocketAddress
from pilotpy_protos.envoy.config.listener.v3.listener_components_pb2 import (
    FilterChain,
    FilterChainMatch,
    ListenerFilterChainMatchPredicate,
)
from pilotpy_protos.envoy.config.listener.v3.listener_pb2 import Listener

_TLS_INSPECTOR = "envoy.filters.listener.tls_inspector"
_HTTP_INSPECTOR = "envoy.filters.listener.http_inspector"
_ANY = {"0.0.0.0", "::"}  # noqa: S104  # compared with, not bound to


class Ambiguous(ValueError):
    """Two chains match equally well: Envoy would have refused the listener."""


def listener_of(listeners: Sequence[Listener], connection: Connection, *, captured_by: str) -> Listener | None:
    """Return the listener that a connection is handed to by the one that captured it; that one itself if none fits."""
    capturing = next((one for one in listeners if one.name == captured_by), None)
    if capturing is None or not capturing.use_original_dst.value:
        return capturing
    at_port = [
        one
        for one in listeners
        if one is not capturing and connection.port in {place.port_value for place in _places(one)}
    ]
    for addresses in ({connection.address}, _ANY):
        for one in at_port:
            if any(place.address in addresses and place.port_value == connection.port for place in _places(one)):
                return one
    return capturing


def chain_of(listener: Listener, connection: Connection) -> FilterChain | None:
    """Return the chain that takes a connection; None: it is closed. Raises ``Ambiguous``."""
    seen = _inspected(listener, connection)
    chains = list(listener.filter_chains)
    for rank in (_port, _address, _server_name, _transport, _protocol):
        chains = _closest(chains, lambda match, rank=rank: rank(match, seen))  # type: ignore[misc]  # bound at once
    if len(chains) > 1:
        raise Ambiguous(f"{listener.name}: {', '.join(chain.name for chain in chains)}")
    if chains:
        return chains[0]
    return listener.default_filter_chain if listener.HasField("default_filter_chain") else None


def _places(listener: Listener) -> Iterable[SocketAddress]:
    yield listener.address.socket_address
    for additional in listener.additional_addresses:
        yield additional.address.socket_address


def _inspected(listener: Listener, connection: Connection) -> Connection:
    """What the listener's inspectors let its chains know of a connection."""
    looks = {one.name for one in listener.listener_filters if not _off(one.filter_disabled, connection)}
    if _TLS_INSPECTOR not in looks:
        connection = connection._replace(tls=False, server_name="", protocols=())
    if not connection.tls:
        spoken = (connection.speaks,) if connection.speaks and _HTTP_INSPECTOR in looks else ()
        connection = connection._replace(protocols=spoken)
    return connection


def _off(predicate: ListenerFilterChainMatchPredicate, connection: Connection) -> bool:
    match predicate.WhichOneof("rule"):
        case "any_match":
            return predicate.any_match
        case "not_match":
            return not _off(predicate.not_match, connection)
        case "and_match":
            return all(_off(one, connection) for one in predicate.and_match.rules)
        case "or_match":
            return any(_off(one, connection) for one in predicate.or_match.rules)
        case "destination_port_range":
            ports = predicate.destination_port_range
            return ports.start <= connection.port < ports.end
        case _:
            return False


def _closest(chains: list[FilterChain], rank: Callable[[FilterChainMatch], int | None]) -> list[FilterChain]:
    """Return the chains that match best; those that do not mention the property (None) if none matches (above 0)."""
    ranked = [(rank(chain.filter_chain_match), chain) for chain in chains]
    best = max((found for found, _ in ranked if found), default=None)
    return [chain for found, chain in ranked if found == best]


def _port(match: FilterChainMatch, connection: Connection) -> int | None:
    if not match.HasField("destination_port"):
        return None
    return int(match.destination_port.value == connection.port)


def _address(match: FilterChainMatch, connection: Connection) -> int | None:
    if not match.prefix_ranges:
        return None
    wanted = ip_address(connection.address)
    ranges = (ip_network(f"{one.address_prefix}/{one.prefix_len.value}", strict=False) for one in match.prefix_ranges)
    return max((one.prefixlen + 1 for one in ranges if wanted in one), default=0)


def _server_name(match: FilterChainMatch, connection: Connection) -> int | None:
    if not match.server_names:
        return None
    return max(map(_name_rank(connection.server_name.lower()), match.server_names))


def _name_rank(wanted: str) -> Callable[[str], int]:
    def rank(name: str) -> int:
        if name.startswith("*."):
            return len(name) if wanted.endswith(name[1:]) and len(wanted) > len(name) - 1 else 0
        return 1024 if wanted and name == wanted else 0  # longer than any name that ends with a suffix

    return rank


def _transport(match: FilterChainMatch, connection: Connection) -> int | None:
    if not match.transport_protocol:
        return None
    return int(match.transport_protocol == ("tls" if connection.tls else "raw_buffer"))


def _protocol(match: FilterChainMatch, connection: Connection) -> int | None:
    if not match.application_protocols:
        return None
    # The client's favourite that any chain takes decides.
    favour = {protocol: len(connection.protocols) - at for at, protocol in enumerate(connection.protocols)}
    return max(favour.get(protocol, 0) for protocol in match.application_protocols)
