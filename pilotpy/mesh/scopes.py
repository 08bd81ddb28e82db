"""The outbound facet: all that the clients of a namespace may reach, and under which policies.

From what a namespace sees, narrowed by a Sidecar, to a ``Scope``: whole namespaces as everybody
sees them, shared by all clients, and the few services that these clients see otherwise, picked one
by one. No query here pairs a client's namespace with a service. Follows Istio's
``pilot/pkg/model/sidecar.go``.
"""

from __future__ import annotations

from zlib import crc32

from pilotpy.engine import Asking, query
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.egress import found_in, listeners, loose_imports, narrowing, together
from pilotpy.mesh.own import own_view, public_members
from pilotpy.mesh.routing import loose_routes
from pilotpy.mesh.services import service_namespaces
from pilotpy.mesh.view import Chosen, Fallback, Part, Parts, Scope, Selected
from pilotpy.model.resource import Ref

Pairs = tuple[tuple[str, str], ...]

_RUN = 32  # parts that a run has, about


@query
def scope(q: Asking, namespace: str, sidecar: Ref | None, selecting: tuple[Ref, ...] = (), held: Pairs = ()) -> Scope:
    """Return what a client of a namespace may reach.

    ``sidecar`` is the Sidecar that narrows what it reaches, ``selecting`` are the DestinationRules whose
    workload selectors pick it, ``held`` its labels that some route asks for.
    """
    if sidecar is None:
        parts = q(own_view, namespace, selecting).parts(q(service_namespaces))
        return Scope(namespace, parts, q(loose_routes, namespace), q(fallback), held)
    narrowed = q(narrowing, namespace, sidecar)
    egress = listeners(q, namespace, narrowed, selecting)
    parts = together(q, [listener.parts for listener in egress])
    plain = len(egress) == 1 and egress[0].is_plain
    return Scope(
        namespace,
        parts,
        loose_imports(q, namespace, narrowed, parts),
        narrowed.fallback or q(fallback),
        held,
        () if plain else egress,
    )


@query
def runs(q: Asking, parts: Parts) -> tuple[Parts, ...]:  # noqa: ARG001  # made once for all that a scope is asked
    """Return parts in runs of neighbours, in their order: the level between a mesh of many namespaces and each of them.

    A run is cut where the name of a namespace says so, not where a count does. So most clients have most runs in
    common, one namespace more or less changes one run, and what changed in one namespace is joined run by run.
    """
    found: list[list[Part]] = []
    last = None
    for part in parts:
        namespace = part.namespace
        if last is None or (namespace != last and crc32(namespace.encode()) % _RUN == 0):
            found.append([])
        found[-1].append(part)
        last = namespace
    return tuple(map(tuple, found))


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
    return found_in(q, scope.parts, host)


@query
def fallback(q: Asking) -> Fallback:
    """Return where traffic to unknown destinations goes, as the mesh has it."""
    # ALLOW_ANY_DYNAMIC_DNS without its look-up of hosts is ALLOW_ANY; what is allowed must not become forbidden.
    return Fallback(allow_any=q(mesh_config).outbound_traffic_policy.mode != "REGISTRY_ONLY")
