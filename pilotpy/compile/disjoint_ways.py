"""From the ways that services want of one listener to those that Envoy takes together.

Envoy refuses a whole listener if two of its chains match the same connection, or if one matches in a way that it
cannot: the older service's way stands, a later one keeps what is left. Source: Envoy's listener_components.proto
(FilterChainMatch) and its filter_chain_manager_impl.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_network

from pilotpy.compile.opaque_routes import Way
from pilotpy.model.resource import Finding, Severity

_ANY = ""
_ALL = frozenset({"0.0.0.0/0", "::/0"})  # takes all, as saying nothing does; so does the server name "*"
_MALFORMED = "malformed"


def disjoint(ways: Iterable[Way], note: Callable[[Finding], None]) -> Iterator[Way]:
    """The ways in order, each without what an earlier one takes; one that has nothing left is dropped and noted."""
    taken: set[tuple[str, str]] = set()
    for way in ways:
        asked_names, asked_subnets = _names(way.server_names), _subnets(way.subnets)
        names, subnets = asked_names - {_MALFORMED}, asked_subnets - {_MALFORMED}
        if names == {_ANY}:
            subnets = {subnet for subnet in subnets if (subnet, _ANY) not in taken}
        names = {name for name in names if not any((subnet, name) in taken for subnet in subnets)}
        # A service without a rule may well give way to an older one: its author is told elsewhere.
        told = way.origin is not None or _MALFORMED in asked_names | asked_subnets
        if told and (names, subnets) != (asked_names, asked_subnets):
            note(_lost(way, everything=not (names and subnets)))
        if names and subnets:
            taken |= {(subnet, name) for subnet in subnets for name in names}
            yield way._replace(server_names=_sorted(names), subnets=_sorted(subnets))


def _names(written: tuple[str, ...]) -> set[str]:
    names = {name.lower() if _is_name(name) else _MALFORMED for name in written}
    return {_ANY} if "*" in names or not names else names


def _subnets(written: tuple[str, ...]) -> set[str]:
    subnets = {_subnet(text) for text in written}
    return {_ANY} if not subnets.isdisjoint(_ALL) or not subnets else subnets


def _sorted(found: set[str]) -> tuple[str, ...]:
    return tuple(sorted(found - {_ANY}))


def _is_name(name: str) -> bool:
    """Whether Envoy can match a server name: a wildcard must be a whole label, the first."""
    return (bool(name) and "*" not in name.removeprefix("*.")) or name == "*"


def _subnet(text: str) -> str:
    """The subnet, its host bits cleared."""
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return _MALFORMED


def _lost(way: Way, *, everything: bool) -> Finding:
    what = "is never used" if everything else "is used in part only"
    return Finding(
        code="PP0204",
        severity=Severity.WARNING,
        message=f"Match {what}: another takes the same connections before it, or a server name or subnet is malformed",
        ref=way.origin or way.service,
        field=way.field,
        hint="Server names may start with '*.', subnets are like 10.0.0.0/8; give each to one rule",
    )
