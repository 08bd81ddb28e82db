"""Redirects: ``HTTPRoute.redirect`` to Envoy's ``RedirectAction``.

Source: Envoy ``config/route/v3/route_components.proto``; Istio ``HTTPRedirect``.
"""

from __future__ import annotations

from typing import Final

from pilotpy.compile.header_text import PRINTABLE, unfit
from pilotpy.compile.route_site import Site
from pilotpy.model.virtual_service import HTTPRedirect, HTTPRoute
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import RedirectAction, Route

_CODES: Final = {
    0: RedirectAction.MOVED_PERMANENTLY,
    301: RedirectAction.MOVED_PERMANENTLY,
    302: RedirectAction.FOUND,
    303: RedirectAction.SEE_OTHER,
    307: RedirectAction.TEMPORARY_REDIRECT,
    308: RedirectAction.PERMANENT_REDIRECT,
}
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def write(route: Route, rule: HTTPRoute, site: Site) -> None:
    """Let the route redirect."""
    wanted = rule.redirect
    if wanted is None:
        return
    code = _CODES.get(wanted.redirect_code)
    if code is None:
        site.refuse(
            route,
            "redirect.redirectCode",
            f"Envoy has no redirects with {wanted.redirect_code}",
            "use 301, 302, 303, 307 or 308",
        )
        return
    for field, text in (("uri", wanted.uri), ("authority", wanted.authority), ("prefixRewrite", wanted.prefix_rewrite)):
        if why := unfit(text):
            site.refuse(route, f"redirect.{field}", f"A redirect {why}", PRINTABLE)
            return
    redirect = RedirectAction(
        host_redirect=wanted.authority, port_redirect=_port(wanted, site.port), response_code=code
    )
    if wanted.prefix_rewrite:
        redirect.prefix_rewrite = wanted.prefix_rewrite
    else:
        redirect.path_redirect = wanted.uri
    if wanted.scheme:
        redirect.scheme_redirect = wanted.scheme
    route.redirect.CopyFrom(redirect)


def _port(wanted: HTTPRedirect, listener_port: int) -> int:
    # Envoy cannot take the port from the request, but a route belongs to a listener and so to a port.
    port = listener_port if wanted.derive_port == "FROM_REQUEST_PORT" else wanted.port or 0
    return 0 if port == _DEFAULT_PORTS.get(wanted.scheme or "http") else port
