"""What of a client its routes depend on, cut down to what can matter where.

Nearly all clients see nearly all services from the same vantage, an empty one; whoever makes keys of queries cuts a
vantage down first, so that these share every route.
"""

from __future__ import annotations

from itertools import chain
from typing import Final, NamedTuple

from pilotpy.engine import Asking, query
from pilotpy.mesh.scopes import members
from pilotpy.mesh.view import Chosen, Part, Parts, Scope, Selected
from pilotpy.mesh.virtual_services import SourceCondition, destinations, source_conditions
from pilotpy.model.resource import Ref


class Vantage(NamedTuple):
    """Where a client stands, towards some VirtualServices."""

    held: tuple[tuple[Ref, int, int], ...] = ()  # (VirtualService, rule, match): what it asks of clients holds
    abroad: tuple[Selected, ...] = ()  # destinations that the client sees otherwise than everybody


NOWHERE: Final = Vantage()


class Standpoint(NamedTuple):
    """All of a client that its routes can depend on, made once for all of them."""

    namespace: str
    labels: frozenset[tuple[str, str]]
    abroad: tuple[Selected, ...]


def standpoint(scope: Scope) -> Standpoint:
    """Where the clients of a scope stand."""
    chosen = (part.services for part in scope.parts if isinstance(part, Chosen))
    return Standpoint(scope.namespace, frozenset(scope.held), tuple(chain.from_iterable(chosen)))


def vantage(q: Asking, standing: Standpoint, refs: tuple[Ref, ...]) -> Vantage:
    """The vantage of a client towards some VirtualServices."""
    if not refs:
        return NOWHERE
    held = tuple(
        (ref, asked.rule, asked.match)
        for ref, asked in q(conditions, refs)
        if standing.labels.issuperset(asked.labels) and asked.namespace in {"", standing.namespace}
    )
    return toward(q, Vantage(held, standing.abroad), refs)


def toward(q: Asking, whole: Vantage, refs: tuple[Ref, ...]) -> Vantage:
    """A vantage cut down to some VirtualServices; empty for none."""
    if not refs or whole == NOWHERE:
        return NOWHERE
    hosts = {host for ref in refs for host in q(destinations, ref)} if whole.abroad else set()
    return Vantage(
        tuple(condition for condition in whole.held if condition[0] in refs),
        tuple(selected for selected in whole.abroad if selected.service.host in hosts),
    )


@query
def conditions(q: Asking, refs: tuple[Ref, ...]) -> tuple[tuple[Ref, SourceCondition], ...]:
    """What some VirtualServices ask of clients; empty for most. One answer for all clients, who look at it often."""
    return tuple((ref, asked) for ref in refs for asked in q(source_conditions, ref))


@query
def part_routes(q: Asking, part: Part) -> tuple[Ref, ...]:
    """The VirtualServices of a part's services, sorted."""
    return tuple(sorted({ref for selected in q(members, part) for ref in selected.routes}))


@query
def run_routes(q: Asking, run: Parts) -> tuple[Ref, ...]:
    """The VirtualServices of the services of some parts, sorted."""
    return tuple(sorted({ref for part in run for ref in q(part_routes, part)}))
