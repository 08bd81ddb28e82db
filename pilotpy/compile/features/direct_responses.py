"""Direct responses: ``HTTPRoute.direct_response`` to Envoy's ``DirectResponseAction``.

Source: Envoy ``config/route/v3/route_components.proto``; Istio ``HTTPDirectResponse``.
"""

from __future__ import annotations

from typing import Final

from pilotpy.compile.route_site import Site
from pilotpy.model.virtual_service import HTTPRoute
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import Route

MOST_BYTES: Final = 1024 * 1024  # Envoy's own limit is 4096 unless the route table says otherwise: it says this


def write(route: Route, rule: HTTPRoute, site: Site) -> None:
    """Let the route answer by itself, unless it does something already."""
    wanted = rule.direct_response
    if wanted is None or route.WhichOneof("action"):
        return
    if not 200 <= wanted.status < 600:
        site.refuse(
            route, "directResponse.status", f"{wanted.status} is no status of an HTTP response", "use 200 to 599"
        )
        return
    body = wanted.body
    said = (body.bytes_ if body.bytes_ is not None else (body.string or "").encode()) if body else b""
    if len(said) > MOST_BYTES:
        site.refuse(
            route,
            "directResponse.body",
            f"A body of {len(said)} bytes is over the limit of {MOST_BYTES}",
            "let a service answer",
        )
        return
    route.direct_response.status = wanted.status
    if body is not None and body.bytes_ is not None:
        route.direct_response.body.inline_bytes = body.bytes_
    elif body is not None and body.string is not None:
        route.direct_response.body.inline_string = body.string
