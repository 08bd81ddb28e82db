"""From the slots of services to their outbound listeners.

Connections reach these listeners by their original destination; nothing is bound, unless nothing is captured.
Source: istiod's core/listener.go (buildSidecarOutboundListener and its kin).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from pilotpy.compile.disjoint_ways import disjoint
from pilotpy.compile.encoded import EMPTY, Encoded, Tree
from pilotpy.compile.http_connection import outbound_manager, routes_over_ads
from pilotpy.compile.listener_settings import terms
from pilotpy.compile.naming import BLACK_HOLE, PASSTHROUGH
from pilotpy.compile.opaque_routes import Client, Way, ways
from pilotpy.compile.outbound import (
    ANYWHERE,
    HTTP_PROXY_ROUTE,
    Exit,
    Manner,
    Slot,
    claims,
    exits,
    http_proxy_port,
    port_of,
    slots,
    sniffed_route,
)
from pilotpy.compile.outbound_chains import http_chain, listener_name, opaque_chain, outbound_frame, outbound_listener
from pilotpy.compile.wire import serialised
from pilotpy.engine import Asking, query
from pilotpy.mesh.opaque_rules import Source, Sources, narrowed, sources_asked_for, together
from pilotpy.mesh.scopes import members, runs
from pilotpy.mesh.service import Protocol
from pilotpy.mesh.services import service
from pilotpy.mesh.view import Fallback, Features, Listening, Part, Parts, Scope, Selected
from pilotpy.model.resource import Ref

FIRST_UNPRIVILEGED: Final = 1024


class Around(NamedTuple):
    """What an outbound listener depends on besides its services. A key of queries."""

    fallback: str  # the cluster for connections that no chain takes
    manner: Manner
    features: Features
    listening: Listening


class Opaque(NamedTuple):
    """The services behind a slot that are not (surely) HTTP, most important first, and who asks. A key of queries."""

    services: tuple[Selected, ...] = ()
    source: Source = Source()


@query
def outbound_listeners(q: Asking, scope: Scope, features: Features, listening: Listening) -> Tree:
    """All outbound listeners but the one that captures; names are unique."""
    found = [q(exit_listeners, way_out, features, listening) for way_out in exits(scope, listening.mode)]
    every = found[0] if len(found) == 1 else Tree({one.name: one for tree in reversed(found) for one in tree}.values())
    return Tree([every, q(http_proxy, features, listening)])


@query
def exit_listeners(q: Asking, way_out: Exit, features: Features, listening: Listening) -> Tree:
    """The listeners of one exit: those of services by their parts, then the shared ones."""
    scope = way_out.scope
    around = Around(fallback_cluster(scope.fallback), way_out.manner, features, listening)
    client = Source(scope.namespace, scope.held)
    own = [q(run_listeners, run, narrowed(client, q(run_sources, run)), around) for run in q(runs, scope.parts)]
    return Tree([*own, Tree(_shared(q, scope, client, around))])


@query
def run_listeners(q: Asking, run: Parts, source: Source, around: Around) -> Tree:
    """The listeners of some parts."""
    return Tree(q(part_listeners, part, narrowed(source, q(part_sources, part)), around) for part in run)


@query
def run_sources(q: Asking, run: Parts) -> Sources:
    """What the opaque rules for the services of some parts ask about clients."""
    return together(q(part_sources, part) for part in run)


@query
def part_listeners(q: Asking, part: Part, source: Source, around: Around) -> Tree:
    """The listeners of one part's services that have slots of their own."""
    apart = [member for member in q(members, part) if q(slots, member.service, member.ports, around.manner).own]
    return Tree(
        q(service_listeners, member, narrowed(source, q(sources_asked_for, member.routes)), around) for member in apart
    )


@query
def part_sources(q: Asking, part: Part) -> Sources:
    """What the opaque rules for a part's services ask about clients."""
    return together(q(sources_asked_for, member.routes) for member in q(members, part) if member.routes)


@query(otherwise=lambda *_: EMPTY)
def service_listeners(q: Asking, member: Selected, source: Source, around: Around) -> Tree:
    """The listeners of one service at addresses that are nobody else's."""
    taken = q(slots, member.service, member.ports, around.manner)
    return Tree(_listener(q, slot, Opaque((member,), source), around) for slot in taken.own)


@query(otherwise=lambda *_: EMPTY)
def shared_listener(q: Asking, slot: Slot, routes: str, opaque: Opaque, around: Around) -> Tree:
    """The listener of a shared slot. Where it is HTTP alone, one answer for all clients.

    `routes` is the route configuration of its HTTP, empty if it has none but what it sniffs.
    """
    return Tree([_listener(q, slot, opaque, around, routes)])


@query
def http_proxy(q: Asking, features: Features, listening: Listening) -> Tree:
    """The explicit proxy that applications may be told to use; may be empty."""
    port = q(http_proxy_port, listening)
    if not port:
        return EMPTY
    common = terms(q, features, listening)
    slot = Slot(common.loopback, port, bound=True)
    manager = routes_over_ads(HTTP_PROXY_ROUTE, listener_name(slot), q(outbound_manager, features, listening))
    manager.http_protocol_options.allow_absolute_url.value = True
    listener = outbound_frame(slot, common)
    listener.filter_chains.append(http_chain(manager, common, sniffed=False))
    return Tree([Encoded(listener.name, serialised(listener))])


def fallback_cluster(fallback: Fallback) -> str:
    """Where connections go that nobody has named."""
    return fallback.egress_proxy or (PASSTHROUGH if fallback.allow_any else BLACK_HOLE)


def _shared(q: Asking, scope: Scope, client: Source, around: Around) -> Iterator[Tree]:
    """The listeners of shared slots, by port and address."""
    manner = around.manner
    claimed = q(claims, scope.parts, manner)
    raw: dict[Slot, list[Selected]] = {}
    for claim in claimed.raw:
        raw.setdefault(claim.slot, []).append(claim.service)
    http = {Slot(manner.bind, port, manner.bound): str(port) for port in claimed.http}
    for slot in sorted({*raw, *http}, key=lambda slot: (slot.port, slot)):
        if slot.address == ANYWHERE and not _may_take(slot, around.listening):
            continue
        services = tuple(raw.get(slot, ()))
        asked = together(q(sources_asked_for, member.routes) for member in services)
        opaque = Opaque(services, narrowed(client, asked)) if services else Opaque()
        yield q(shared_listener, slot, http.get(slot, ""), opaque, around)


def _may_take(slot: Slot, listening: Listening) -> bool:
    """Whether a listener may take the port of all addresses."""
    needs_privilege = slot.bound and listening.unprivileged and slot.port < FIRST_UNPRIVILEGED
    return slot.port not in listening.reserved and not needs_privilege


def _listener(q: Asking, slot: Slot, opaque: Opaque, around: Around, routes: str = "") -> Encoded:
    common = terms(q, around.features, around.listening)
    at = slot._replace(address=slot.address or (common.loopback if slot.bound else common.wildcard))
    wanted: list[Way] = []
    for member in opaque.services:
        found = q(service, member.service)
        assert found is not None, "only services have slots"
        port = port_of(found, slot.port, around.manner)
        if port.protocol is Protocol.AUTO and not routes:
            routes = sniffed_route(member.service.host, slot.port)
        client = Client(member, opaque.source, common)
        of_port = ways(q, found, port, client, shares=slot == Slot(ANYWHERE, slot.port))
        is_mongo, source = port.protocol is Protocol.MONGO, Ref(*found.source)
        wanted += [way._replace(mongo=is_mongo, service=source) for way in of_port]
    chains = [opaque_chain(way, common) for way in disjoint(wanted, q.note)]
    http = []
    if routes:
        shared = q(outbound_manager, around.features, around.listening)
        manager = routes_over_ads(routes, listener_name(at), shared)
        http = [http_chain(manager, common, sniffed=bool(chains) or at.address == common.wildcard)]
    return outbound_listener(at, [*http, *chains], around.fallback, common)
