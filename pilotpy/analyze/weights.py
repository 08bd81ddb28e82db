"""Weights of VirtualServices that do not add up to 100: shares are in proportion, and may not be what was meant.

Source: istio/api networking/v1/virtual_service.proto, HTTPRouteDestination.weight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pilotpy.engine import Asking, query
from pilotpy.mesh.kinds import VIRTUAL_SERVICES
from pilotpy.model.resource import Finding, Ref, Severity
from pilotpy.model.virtual_service import HTTPRouteDestination, RouteDestination


@query
def weight_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each list of several destinations whose weights do not add up to 100."""
    found = q.get(VIRTUAL_SERVICES, ref.namespace, ref.name)
    if found is None:
        return ()
    spec = found.spec
    written: tuple[tuple[str, Sequence[Sequence[HTTPRouteDestination | RouteDestination]]], ...] = (
        ("http", [rule.route for rule in spec.http]),
        ("tls", [rule.route for rule in spec.tls]),
        ("tcp", [rule.route for rule in spec.tcp]),
    )
    return tuple(
        doubt
        for protocol, routes in written
        for index, route in enumerate(routes)
        for doubt in _doubts(ref, f"spec.{protocol}[{index}].route", route)
    )


def _doubts(ref: Ref, field: str, route: Sequence[HTTPRouteDestination | RouteDestination]) -> Iterator[Finding]:
    total = sum(one.weight for one in route)
    if len(route) < 2 or total in {0, 100}:  # all 0 is refused
        return
    shares = ", ".join(f"{100 * one.weight / total:.3g} %" for one in route)
    yield Finding(
        code="PP0113",
        severity=Severity.WARNING,
        message=f"The weights add up to {total}, not to 100: the destinations get {shares}",
        ref=ref,
        field=field,
        hint="Write percentages, if that is what they are meant to be",
    )
