"""What of a client its routes depend on, cut down to what can matter where.

Nearly all clients see nearly all services from the same vantage, an empty one; whoever makes keys of queries cuts a
vantage down first, so that these share every route.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pilotpy.engine import Asking, query
from pilotpy.mesh.scopes import members
from pilotpy.mesh.view import Chosen, Part, Scope, Selected
from pilotpy.mesh.virtual_services import destinations, source_conditions
from pilotpy.model.resource import Ref


class Vantage(NamedTuple):
    """Where a client stands, towards some VirtualServices."""

    held: tuple[tuple[Ref, int, int], ...] = ()  # (VirtualService, rule, match): what it asks of clients holds
    abroad: tuple[Selected, ...] = ()  # destinations that the client sees otherwise than everybody


def vantage(q: Asking, scope: Scope, refs: Iterable[Ref]) -> Vantage:
    """The vantage of a scope towards some VirtualServices."""
    labels = frozenset(scope.held)
    held = tuple(
        (ref, asked.rule, asked.match)
        for ref in refs
        for asked in q(source_conditions, ref)
        if labels.issuperset(asked.labels) and asked.namespace in {"", scope.namespace}
    )
    abroad = (selected for part in scope.parts if isinstance(part, Chosen) for selected in part.services)
    return toward(q, Vantage(held, tuple(abroad)), refs)


def toward(q: Asking, whole: Vantage, refs: Iterable[Ref]) -> Vantage:
    """A vantage cut down to some VirtualServices; empty for none."""
    refs = frozenset(refs)
    if not refs or whole == Vantage():
        return Vantage()
    hosts = {host for ref in refs for host in q(destinations, ref)} if whole.abroad else set()
    return Vantage(
        tuple(condition for condition in whole.held if condition[0] in refs),
        tuple(selected for selected in whole.abroad if selected.service.host in hosts),
    )


@query
def part_routes(q: Asking, part: Part) -> tuple[Ref, ...]:
    """The VirtualServices of a part's services, sorted."""
    return tuple(sorted({ref for selected in q(members, part) for ref in selected.routes}))
