"""What a Sidecar lets its workloads reach: the egress listeners and parts of a narrowed scope.

From the egress listeners of a Sidecar to ``Part``s. Namespaces that are imported whole, and that
these clients see as everybody does, stay shared. Follows ``convertToSidecarScope`` of Istio's
``pilot/pkg/model/sidecar.go``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from pilotpy.engine import Asking, query
from pilotpy.mesh.destination_rules import rules_for
from pilotpy.mesh.hosts import is_wildcard, whole
from pilotpy.mesh.imports import EVERYTHING, Imports, imports
from pilotpy.mesh.kinds import SIDECARS, VIRTUAL_SERVICES
from pilotpy.mesh.own import Own, own_view, public_members, selected_for_all
from pilotpy.mesh.protocol import named_protocol
from pilotpy.mesh.routing import Claim, loose_routes, routes_for, routes_seen
from pilotpy.mesh.service import Protocol, ServiceKey
from pilotpy.mesh.services import (
    entries_shadowing,
    held_for,
    holder,
    named,
    service,
    service_namespaces,
    services_within,
)
from pilotpy.mesh.view import Chosen, Egress, Fallback, Part, Selected, Whole
from pilotpy.mesh.virtual_services import rules
from pilotpy.model.resource import Finding, Ref, Severity
from pilotpy.model.sidecar import OutboundTrafficPolicy
from pilotpy.model.virtual_service import Destination
from pilotpy.schema.codes import NOT_COMPILED


class Listener(NamedTuple):
    """An egress listener as a Sidecar has it."""

    wanted: Imports
    port: int = 0
    protocol: Protocol = Protocol.AUTO
    bind: str = ""
    captured: bool = True

    @property
    def only(self) -> int:
        """The port that services must have to count, 0 if any will do."""
        return 0 if self.protocol is Protocol.HTTP_PROXY else self.port


class Narrowing(NamedTuple):
    """What a Sidecar says of what may be reached."""

    listeners: tuple[Listener, ...]  # never empty
    fallback: Fallback | None  # None: the mesh's


@query
def narrowing(q: Asking, namespace: str, sidecar: Ref) -> Narrowing:
    """Return what a Sidecar lets the clients of a namespace reach; everything if it does not say, or is gone."""
    found = q.get(SIDECARS, sidecar.namespace, sidecar.name)
    if found is None:
        return Narrowing((Listener(EVERYTHING),), None)
    listeners = tuple(
        Listener(
            imports(written.hosts, namespace),
            written.port.number if written.port else 0,
            named_protocol(written.port.protocol) if written.port else Protocol.AUTO,
            written.bind,
            written.capture_mode != "NONE",
        )
        for written in found.spec.egress
    )
    for index, listener in enumerate(listeners):
        if listener.bind.startswith("unix://"):
            q.note(_unheard(sidecar, index))
    policy = found.spec.outbound_traffic_policy
    return Narrowing(listeners or (Listener(EVERYTHING),), _fallback(policy, namespace) if policy else None)


def listeners(q: Asking, namespace: str, narrowed: Narrowing, selecting: tuple[Ref, ...]) -> tuple[Egress, ...]:
    """Return the outbound listeners of a Sidecar, in its order."""
    return tuple(
        Egress(
            listener.port,
            listener.protocol,
            listener.bind,
            listener.captured,
            q(imported, namespace, listener.wanted, selecting, listener.only),
        )
        for listener in narrowed.listeners
    )


@query
def imported(q: Asking, namespace: str, wanted: Imports, selecting: tuple[Ref, ...], port: int) -> tuple[Part, ...]:
    """Return what an egress listener lets in for clients of a namespace, as parts of a scope.

    ``port``: only services that have it count, and only with it; 0: all, with all ports. What the imported
    VirtualServices send traffic to comes along, with the ports that they name.
    """
    shared = _shared(q, wanted) if not port else frozenset()
    chosen: dict[str, Selected] = {}
    without: set[ServiceKey] = set()

    def counts(claim: Claim) -> bool:
        return wanted.lets_in_routes(claim.ref.namespace, claim.hosts)

    def select(key: ServiceKey, ports: tuple[int, ...]) -> Selected:
        routes = routes_for(q, namespace, key.host, counts)
        return Selected(key, rules_for(q, namespace, key, selecting), routes, ports)

    own = q(own_view, namespace, selecting)
    apart = {selected.service.host for selected in own.chosen} | {key.host for key in own.without}
    apart.update(_named(q, namespace, wanted, every=port > 0), _unlike_others(q, wanted, shared))
    for host in sorted(apart):
        key = held_for(q, namespace, host, {key.namespace for key in q(named, host) if wanted.lets_in(*key)})
        public = q(holder, host)
        is_shared = public is not None and public.namespace in shared
        if key is not None and (not port or _has(q, key, port)):
            selected = select(key, (port,) if port else ())
            if is_shared and selected == q(selected_for_all, key):
                continue
            chosen[host] = selected
        if public is not None and is_shared:
            without.add(public)
    for host, ports in _sent_to(q, namespace, wanted).items():
        key = held_for(q, namespace, host)
        if key is None or host in chosen or (key.namespace in shared and key not in without):
            continue
        if not port or _has(q, key, port):
            chosen[host] = select(key, (port,) if port else ports)
    return Own(tuple(sorted(chosen.values())), tuple(sorted(without))).parts(shared)


def together(q: Asking, several: list[tuple[Part, ...]]) -> tuple[Part, ...]:
    """Return the union of what listeners let in: of services with one host the first, with all ports asked for."""
    if len(several) == 1:
        return several[0]
    wholes = {part.namespace: part for parts in several for part in parts if isinstance(part, Whole)}
    shared = tuple(wholes[namespace] for namespace in sorted(wholes))
    chosen: dict[str, Selected] = {}
    for selected in (s for parts in several for part in parts if isinstance(part, Chosen) for s in part.services):
        host = selected.service.host
        if found_in(q, shared, host):
            continue
        earlier = chosen.setdefault(host, selected)
        if earlier is not selected and earlier.service == selected.service:
            either = (*earlier.ports, *selected.ports) if earlier.ports and selected.ports else ()
            chosen[host] = earlier._replace(ports=tuple(sorted(set(either))))
    without = tuple(sorted(key for whole_part in shared for key in whole_part.without))
    return Own(tuple(sorted(chosen.values())), without).parts(wholes)


def found_in(q: Asking, parts: tuple[Part, ...], host: str) -> Selected | None:
    """Return the service that a host means among parts, or None."""
    for key in q(named, host):
        place = bisect_left(parts, key.namespace, key=lambda part: part.namespace)
        for part in parts[place : place + 2]:
            if part.namespace != key.namespace:
                break
            if isinstance(part, Chosen):
                index = bisect_left(part.services, key, key=lambda selected: selected.service)
                if index < len(part.services) and part.services[index].service == key:
                    return part.services[index]
            elif key not in part.without and q(holder, host) == key:
                return q(selected_for_all, key)
    return None


def loose_imports(q: Asking, namespace: str, narrowed: Narrowing, parts: tuple[Part, ...]) -> tuple[Ref, ...]:
    """Return the VirtualServices that are let in with a host that no service among the parts has.

    Most important first. One with a wildcard is among them, whatever that stands for.
    """
    if any(listener.wanted.is_all for listener in narrowed.listeners):
        return q(loose_routes, namespace)
    claims = {claim for listener in narrowed.listeners for claim in _routes(q, namespace, listener.wanted)}
    loose = [c for c in claims if any(is_wildcard(host) or not found_in(q, parts, host) for host in c.hosts)]
    loose.sort(key=lambda claim: (claim.rank(namespace) or 0, claim.age))
    return tuple(claim.ref for claim in loose)


@query
def sent_to(q: Asking, ref: Ref) -> tuple[tuple[str, int], ...]:
    """Return the hosts that a VirtualService sends traffic to, each with a port (0: it names none), sorted."""
    found = q.get(VIRTUAL_SERVICES, ref.namespace, ref.name)
    if found is None:
        return ()
    places: set[tuple[str, int]] = set()
    for http in (rule.route for rule in q(rules, ref)):
        sent = [one.destination for one in http.route] + [one.destination for one in http.mirrors] + [http.mirror]
        places.update(_place(one, ref.namespace) for one in sent if one)
    opaque = [tls.route for tls in found.spec.tls] + [tcp.route for tcp in found.spec.tcp]
    places.update(_place(one.destination, ref.namespace) for route in opaque for one in route if one.destination)
    return tuple(sorted(places))


def _place(destination: Destination, namespace: str) -> tuple[str, int]:
    return whole(destination.host, namespace), destination.port.number if destination.port else 0


def _routes(q: Asking, namespace: str, wanted: Imports) -> list[Claim]:
    return [claim for one in wanted.wanted for claim in routes_seen(q, namespace, one.namespace, one.host)]


def _sent_to(q: Asking, namespace: str, wanted: Imports) -> dict[str, tuple[int, ...]]:
    """Return the hosts that imported VirtualServices send traffic to, with the ports they name (empty: all)."""
    if wanted.is_all:
        return {}
    ports: dict[str, set[int]] = {}
    for claim in _routes(q, namespace, wanted):
        for host, port in q(sent_to, claim.ref):
            ports.setdefault(host, set()).add(port)
    return {host: () if 0 in ports[host] else tuple(sorted(ports[host])) for host in sorted(ports)}


def _shared(q: Asking, wanted: Imports) -> frozenset[str]:
    """Return the namespaces that are let in whole."""
    known = q(service_namespaces)
    wide = {one.namespace for one in wanted.wanted if one.is_wide}
    return frozenset(known if "*" in wide else wide.intersection(known))


def _named(q: Asking, namespace: str, wanted: Imports, *, every: bool) -> Iterator[str]:
    """Yield the hosts that imports name; with ``every``, also those that they let in with a whole namespace."""
    for one in (*wanted.wanted, *wanted.unwanted):
        if every or not one.is_wide or one in wanted.unwanted:
            yield from (key.host for key in services_within(q, one.host, namespace))


def _unlike_others(q: Asking, wanted: Imports, shared: frozenset[str]) -> Iterator[str]:
    """Yield the hosts of shared namespaces that may mean something else with these imports."""
    for owner in shared:
        yield from (key.host for key in entries_shadowing(q, owner) if q(holder, key.host) != key)
        if not wanted.is_all:
            # Their VirtualServices may be of namespaces that are not let in.
            yield from (selected.service.host for selected in q(public_members, owner) if selected.routes)


def _has(q: Asking, key: ServiceKey, port: int) -> bool:
    found = q(service, key)
    return found is not None and any(own.number == port for own in found.ports)


def _fallback(policy: OutboundTrafficPolicy, namespace: str) -> Fallback:
    proxy = policy.egress_proxy
    if proxy is None:
        return Fallback(allow_any=policy.mode == "ALLOW_ANY")
    host, port = _place(proxy, namespace)
    return Fallback(policy.mode == "ALLOW_ANY", f"outbound|{port}|{proxy.subset}|{host}")


def _unheard(sidecar: Ref, index: int) -> Finding:
    return Finding(
        code=NOT_COMPILED,
        severity=Severity.WARNING,
        message="Nothing listens here: egress through Unix sockets has no effect yet",
        ref=sidecar,
        field=f"spec.egress[{index}].bind",
        hint="Bind to an address of the workload, such as 127.0.0.1",
    )
