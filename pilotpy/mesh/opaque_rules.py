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


class OpaqueRule(NamedTuple):
    """One rule for TLS or TCP and where its author wrote it."""

    number: int  # ~index among the rules of the object: source conditions count HTTP rules upwards from 0
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
        OpaqueRule(~index, tls, match, tuple(_with_whole_hosts(route, ref.namespace)), ref, field)
        for index, (tls, field, match, route) in enumerate(written)
    )


def asks_for_source(match: Match) -> bool:
    """Whether a match depends on who the client is."""
    return bool(match.source_labels or match.source_namespace)


def holds(match: Match, port: int, *, source_held: bool) -> bool:
    """Whether a match can be met by connections of a sidecar to ``port`` of a service."""
    if match.port not in {0, port} or (match.gateways and MESH not in match.gateways):
        return False
    return source_held or not asks_for_source(match)


def _with_whole_hosts(route: Iterable[RouteDestination], namespace: str) -> Iterable[RouteDestination]:
    for one in route:
        to = one.destination
        yield replace(one, destination=to and replace(to, host=whole(to.host, namespace)))
