"""From the services of a scope's part to those that have routes on a port."""

from __future__ import annotations

from pilotpy.engine import Asking, query
from pilotpy.mesh.scopes import members
from pilotpy.mesh.service import Resolution, Service
from pilotpy.mesh.services import service
from pilotpy.mesh.view import Part, Selected


@query
def on_port(q: Asking, part: Part, port: int) -> tuple[Selected, ...]:
    """The services of a part with HTTP, declared or sniffed, on a port; in the part's order."""
    return dict(q(by_port, part)).get(port, ())


@query
def by_port(q: Asking, part: Part) -> tuple[tuple[int, tuple[Selected, ...]], ...]:
    """The services of a part by the ports on which they have routes, sorted by port."""
    found: dict[int, list[Selected]] = {}
    for selected in q(members, part):
        for number in _routed(q(service, selected.service)):
            if not selected.ports or number in selected.ports:
                found.setdefault(number, []).append(selected)
    return tuple((number, tuple(found[number])) for number in sorted(found))


def _routed(found: Service | None) -> list[int]:
    """The ports of a service that may speak HTTP. An alias has none: it has the virtual host of what it stands for."""
    if found is None or found.resolution is Resolution.ALIAS:
        return []
    return [port.number for port in found.ports if port.protocol.may_be_http]
