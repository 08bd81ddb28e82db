"""From endpoints to ClusterLoadAssignments: one for every cluster that asks for its endpoints over EDS.

Clients share all of them but those whose order depends on where the client is. Source: istiod's
``pilot/pkg/xds/endpoints/endpoint_builder.go``.
"""

from __future__ import annotations

from typing import Final

import msgspec

from pilotpy.compile.arrangement import NOWHERE, Group, arranged
from pilotpy.compile.draft import EDS, Outlet
from pilotpy.compile.encoded import Encoded, Tree
from pilotpy.compile.load_assignment import load_assignment
from pilotpy.compile.naming import cluster_name
from pilotpy.compile.outlets import Choice, choice, narrowed, outlets, placed, run_needs
from pilotpy.compile.split_horizon import as_seen
from pilotpy.engine import Asking, query
from pilotpy.mesh.endpoints import endpoints
from pilotpy.mesh.mtls import plaintext
from pilotpy.mesh.scopes import members, runs
from pilotpy.mesh.service import Endpoint, Health, ServiceKey
from pilotpy.mesh.services import service
from pilotpy.mesh.view import Part, Parts, Place, Scope
from pilotpy.mesh.workloads import MUTUAL
from pilotpy.model.resource import Ref

DRAINING_LABEL: Final = "istio.io/draining"


@query
def assignments(q: Asking, scope: Scope, place: Place) -> Tree:
    """Every assignment that a client's clusters ask for, by namespace; names unique."""
    return Tree(q(run_assignments, run, narrowed(place, q(run_needs, run))) for run in q(runs, scope.parts))


@query
def run_assignments(q: Asking, run: Parts, place: Place) -> Tree:
    """The assignments of some parts."""
    return Tree(
        branch
        for part in run
        for branch in (
            q(part_assignments, part),
            q(placed_assignments, part, narrowed(place, q(placed, part).needs)),
        )
    )


@query
def part_assignments(q: Asking, part: Part) -> Tree:
    """The assignments of a part that are the same wherever the client is."""
    return Tree(q(service_assignments, m.service, m.rules, m.ports) for m in q(members, part))


@query
def service_assignments(q: Asking, key: ServiceKey, rules: tuple[Ref, ...], ports: tuple[int, ...]) -> Tree:
    """The assignments of a service's clusters that are the same wherever the client is."""
    taken = ((outlet, q(choice, key, outlet)) for outlet in q(outlets, key, rules, ports))
    return Tree(_assignment(q, key, outlet, NOWHERE) for outlet, chosen in taken if _asked(chosen) and not chosen.needs)


@query
def placed_assignments(q: Asking, part: Part, place: Place) -> Tree:
    """The assignments of a part that differ with the client's place; usually empty."""
    return Tree(
        _assignment(q, key, outlet, place) for key, outlet in q(placed, part).outlets if _asked(q(choice, key, outlet))
    )


def _asked(chosen: Choice) -> bool:
    return chosen.discovery == EDS


def _assignment(q: Asking, key: ServiceKey, outlet: Outlet, place: Place) -> Encoded:
    chosen = q(choice, key, outlet)
    # What rules made of the choice is in it: clients under other rules with the same choice share the answer.
    return q(assignment, key, outlet._replace(rules=()), chosen, narrowed(place, chosen.needs))


@query(otherwise=lambda key, outlet, chosen, place: _encoded(key, outlet, ()))  # noqa: ARG005 - as the query takes them
def assignment(q: Asking, key: ServiceKey, outlet: Outlet, chosen: Choice, place: Place) -> Encoded:
    """One assignment; without endpoints it is there and empty, or Envoy would wait for it."""
    return _encoded(key, outlet, groups(q, key, outlet, chosen, place))


def _encoded(key: ServiceKey, outlet: Outlet, members: tuple[Group, ...]) -> Encoded:
    name = cluster_name(outlet.port, outlet.subset, key.host)
    return Encoded(name, load_assignment(name, members))


def groups(q: Asking, key: ServiceKey, outlet: Outlet, chosen: Choice, place: Place) -> tuple[Group, ...]:
    """The endpoints of an outlet as a client at ``place`` sees them; may be empty."""
    found = q(service, key)
    port = next((port for port in found.ports if port.number == outlet.port), None) if found else None
    if found is None or port is None:
        return ()
    taken = [endpoint for one in q(endpoints, key, port.name) if _taken(endpoint := _as_sent(one), chosen, place)]
    secured = _secured(q, taken, chosen)
    reached = as_seen(q, found, secured, place) if chosen.split else [one for one in secured if one.address]
    return arranged(reached, chosen.spread, place)


def _as_sent(endpoint: Endpoint) -> Endpoint:
    drains = endpoint.health is not Health.DRAINING and dict(endpoint.labels).get(DRAINING_LABEL)
    return msgspec.structs.replace(endpoint, health=Health.DRAINING) if drains else endpoint


def _secured(q: Asking, taken: list[Endpoint], chosen: Choice) -> list[Endpoint]:
    """The endpoints; those that are not spoken to in mutual TLS without the mode that says that they could be."""
    capable = {endpoint.namespace for endpoint in taken if endpoint.tls_mode}
    exempt = {namespace: q(plaintext, namespace) for namespace in capable} if chosen.mutual is None else {}

    def speaks(endpoint: Endpoint) -> bool:
        if endpoint.tls_mode != MUTUAL or chosen.mutual is False:
            return False
        return chosen.mutual is True or not exempt[endpoint.namespace].covers(endpoint)

    replace = msgspec.structs.replace
    return [one if not one.tls_mode or speaks(one) else replace(one, tls_mode="") for one in taken]


def _taken(endpoint: Endpoint, chosen: Choice, place: Place) -> bool:
    if endpoint.health is Health.UNHEALTHY and not chosen.unready:
        return False
    if endpoint.health is Health.DRAINING and not chosen.draining:
        return False
    if chosen.same_node and endpoint.node != place.node:
        return False
    if chosen.same_cluster and endpoint.cluster != place.cluster:
        return False
    return not chosen.labels or set(chosen.labels) <= set(endpoint.labels)
