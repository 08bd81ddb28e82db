"""From VirtualServices to the rules for connections that nobody looks into: TLS by its SNI, TCP by where it goes.

Source: Istio's ``networking/v1/virtual_service.proto``; istiod's ``core/tls.go`` (conditions that the control plane
decides itself).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from pilotpy.engine import Asking, query
from pilotpy.mesh.hosts import whole
from pilotpy.mesh.kinds import VIRTUAL_SERVICES
from pilotpy.model.resource import Ref
from pilotpy.model.virtual_service import L4MatchAttributes, RouteDestination, TLSMatchAttributes

MESH = "mesh"  # the gateway that stands for all sidecars

Match = TLSMatchAttributes | L4MatchAttributes


class Source(NamedTuple):
    """Who a client is, as far as rules ask."""

    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()  # sorted


class Sources(NamedTuple):
    """What rules ask about clients."""

    namespaces: frozenset[str] = frozenset()
    labels: frozenset[tuple[str, str]] = frozenset()


class OpaqueRule(NamedTuple):
    """One rule for TLS or TCP and where its author wrote it."""

    tls: bool
    matches: tuple[Match, ...]  # empty: takes every connection (TCP only)
    route: tuple[RouteDestination, ...]  # its hosts are whole
    ref: Ref
    field: str  # "spec.tcp[0]"


@query
def opaque_rules(q: Asking, ref: Ref) -> tuple[OpaqueRule, ...]:
    """The TLS rules of a VirtualService, then its TCP rules, each in order; empty if it is gone."""
    found = q.get(VIRTUAL_SERVICES, ref.namespace, ref.name)
    if found is None:
        return ()
    written: list[tuple[bool, str, tuple[Match, ...], tuple[RouteDestination, ...]]] = []
    written += [(True, f"spec.tls[{i}]", one.match, one.route) for i, one in enumerate(found.spec.tls)]
    written += [(False, f"spec.tcp[{i}]", one.match, one.route) for i, one in enumerate(found.spec.tcp)]
    return tuple(
        OpaqueRule(tls, match, tuple(_with_whole_hosts(route, ref.namespace)), ref, field)
        for tls, field, match, route in written
    )


@query
def sources_asked_for(q: Asking, routes: tuple[Ref, ...]) -> Sources:
    """What the opaque rules of some VirtualServices ask about the client; usually nothing."""
    matches = [match for ref in routes for rule in q(opaque_rules, ref) for match in rule.matches]
    labels = {pair for match in matches for pair in match.source_labels.items()}
    return Sources(frozenset(match.source_namespace for match in matches) - {""}, frozenset(labels))


def together(asked: Iterable[Sources]) -> Sources:
    """Everything that any of them asks."""
    namespaces: set[str] = set()
    labels: set[tuple[str, str]] = set()
    for one in asked:
        namespaces |= one.namespaces
        labels |= one.labels
    return Sources(frozenset(namespaces), frozenset(labels))


def narrowed(source: Source, asked: Sources) -> Source:
    """No more of a client than is asked about, so that clients who differ in the rest share answers."""
    namespace = source.namespace if source.namespace in asked.namespaces else ""
    return Source(namespace, tuple(pair for pair in source.labels if pair in asked.labels))


def holds(match: Match, port: int, source: Source) -> bool:
    """Whether a match can be met by connections of a client to ``port`` of a service."""
    if match.port not in {0, port} or (match.gateways and MESH not in match.gateways):
        return False
    if match.source_namespace and match.source_namespace != source.namespace:
        return False
    return match.source_labels.items() <= dict(source.labels).items()


def _with_whole_hosts(route: Iterable[RouteDestination], namespace: str) -> Iterable[RouteDestination]:
    for one in route:
        to = one.destination
        yield replace(one, destination=to and replace(to, host=whole(to.host, namespace)))
