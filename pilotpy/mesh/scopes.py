"""The outbound facet: all that the clients of a namespace may reach, and under which policies.

From services, rules and routes to a ``Scope``: whole namespaces as everybody sees them, shared by
all clients, and the few services that these clients see otherwise, picked one by one. No query
here pairs a client's namespace with a service. Follows Istio's ``pilot/pkg/model/sidecar.go``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import NamedTuple

from pilotpy.engine import Asking, query
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.destination_rules import ruled_hosts, rules_for, rules_for_all
from pilotpy.mesh.routing import loose_routes, routed_hosts, routes_for, routes_for_all
from pilotpy.mesh.service import ServiceKey
from pilotpy.mesh.services import (
    entries_shadowing,
    held_for,
    holder,
    named,
    public_services,
    restricted_services,
    service_namespaces,
    services_within,
)
from pilotpy.mesh.view import Chosen, Fallback, Part, Scope, Selected, Whole
from pilotpy.model.resource import Ref

Pairs = tuple[tuple[str, str], ...]


class Own(NamedTuple):
    """What the clients of a namespace see otherwise than everybody else."""

    chosen: tuple[Selected, ...] = ()  # sorted by service; instead of, or beside, the public ones
    without: tuple[ServiceKey, ...] = ()  # sorted; public services that are chosen, or out of sight


@query
def scope(q: Asking, namespace: str, sidecar: Ref | None, selecting: tuple[Ref, ...] = (), held: Pairs = ()) -> Scope:
    """Return what a client of a namespace may reach.

    ``sidecar`` is the Sidecar that narrows what it reaches, ``selecting`` are the DestinationRules whose
    workload selectors pick it, ``held`` its labels that some route asks for.
    """
    own = q(own_view, namespace, selecting)
    chosen = defaultdict(list)
    without = defaultdict(list)
    for selected in own.chosen:
        chosen[selected.service.namespace].append(selected)
    for key in own.without:
        without[key.namespace].append(key)
    parts: list[Part] = []
    for owner in sorted({*q(service_namespaces), *chosen}):
        parts.append(Whole(owner, tuple(without[owner])))
        if chosen[owner]:
            parts.append(Chosen(owner, tuple(chosen[owner])))
    return Scope(namespace, tuple(parts), q(loose_routes, namespace), q(fallback), held)


@query
def members(q: Asking, part: Part) -> tuple[Selected, ...]:
    """Return the services of a part with their policies, sorted by service; may be empty."""
    if isinstance(part, Chosen):
        return part.services
    everybody = q(public_members, part.namespace)
    if not part.without:
        return everybody
    hidden = set(part.without)
    return tuple(selected for selected in everybody if selected.service not in hidden)


def find(q: Asking, scope: Scope, host: str) -> Selected | None:
    """Return the service that a host means in a scope, or None. Cheap; hosts are whole, in lower case."""
    for key in q(named, host):
        place = bisect_left(scope.parts, key.namespace, key=lambda part: part.namespace)
        for part in scope.parts[place : place + 2]:
            if part.namespace != key.namespace:
                break
            if isinstance(part, Chosen):
                index = bisect_left(part.services, key, key=lambda selected: selected.service)
                if index < len(part.services) and part.services[index].service == key:
                    return part.services[index]
            elif key not in part.without and q(holder, host) == key:
                return q(selected_for_all, key)
    return None


@query
def public_members(q: Asking, namespace: str) -> tuple[Selected, ...]:
    """Return the public services of a namespace with the policies that hold for all, sorted by service."""
    return tuple(q(selected_for_all, key) for key in q(public_services, namespace))


@query
def selected_for_all(q: Asking, key: ServiceKey) -> Selected:
    """Return a service with the policies that hold for clients whose namespaces have none of their own."""
    return Selected(key, q(rules_for_all, key), q(routes_for_all, key.host))


@query
def own_view(q: Asking, namespace: str, selecting: tuple[Ref, ...]) -> Own:
    """Return how a namespace's view of the public services differs from everybody's."""
    seen: dict[str, ServiceKey] = {}
    for host in {key.host for key in (*q(restricted_services, namespace), *entries_shadowing(q, namespace))}:
        key = held_for(q, namespace, host)
        if key is not None and key != q(holder, host):
            seen[host] = key
    for pattern in dict.fromkeys((*q(ruled_hosts, namespace), *q(routed_hosts, namespace))):
        seen.update((key.host, key) for key in services_within(q, pattern, namespace))
    chosen: list[Selected] = []
    without: list[ServiceKey] = []
    for host, key in seen.items():
        selected = Selected(key, rules_for(q, namespace, key, selecting), routes_for(q, namespace, host))
        public = q(holder, host)
        if key == public and selected == q(selected_for_all, key):
            continue
        chosen.append(selected)
        without += [public] if public else []
    return Own(tuple(sorted(chosen)), tuple(sorted(without)))


@query
def fallback(q: Asking) -> Fallback:
    """Return where traffic to unknown destinations goes, as the mesh has it."""
    return Fallback(allow_any=q(mesh_config).outbound_traffic_policy.mode == "ALLOW_ANY")
