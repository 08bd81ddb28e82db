"""What the clients of one namespace see otherwise than everybody else.

From exports, rules and routes to the public members of a namespace, as all see them, and to the
few services that a namespace sees otherwise. Follows the precedence of Istio's push context.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from pilotpy.engine import Asking, query
from pilotpy.mesh.destination_rules import ruled_hosts, rules_for, rules_for_all
from pilotpy.mesh.routing import routed_hosts, routes_for, routes_for_all
from pilotpy.mesh.service import ServiceKey
from pilotpy.mesh.services import (
    entries_shadowing,
    held_for,
    holder,
    public_services,
    restricted_services,
    services_within,
)
from pilotpy.mesh.view import Chosen, Part, Selected, Whole
from pilotpy.model.resource import Ref


class Own(NamedTuple):
    """What the clients of a namespace see otherwise than everybody else."""

    chosen: tuple[Selected, ...] = ()  # sorted by service; instead of, or beside, the public ones
    without: tuple[ServiceKey, ...] = ()  # sorted; public services that are chosen, or out of sight

    def parts(self, shared: Iterable[str]) -> tuple[Part, ...]:
        """Return the parts of a scope: all of the ``shared`` namespaces, but for what is seen otherwise."""
        chosen = defaultdict(list)
        without = defaultdict(list)
        for selected in self.chosen:
            chosen[selected.service.namespace].append(selected)
        for key in self.without:
            without[key.namespace].append(key)
        namespaces = frozenset(shared)
        parts: list[Part] = []
        for namespace in sorted({*namespaces, *chosen}):
            if namespace in namespaces:
                parts.append(Whole(namespace, tuple(without[namespace])))
            if chosen[namespace]:
                parts.append(Chosen(namespace, tuple(chosen[namespace])))
        return tuple(parts)


@query
def public_members(q: Asking, namespace: str) -> tuple[Selected, ...]:
    """Return the public services of a namespace with the policies that hold for all, sorted by service."""
    return tuple(q(selected_for_all, key) for key in q(public_services, namespace))


@query
def selected_for_all(q: Asking, key: ServiceKey) -> Selected:
    """Return a service with the policies that hold for clients whose namespaces have none of their own."""
    return Selected(key, rules_for_all(q, key), routes_for_all(q, key.host))


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
