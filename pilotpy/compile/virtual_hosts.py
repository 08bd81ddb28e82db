"""From a service's port, or a host of no service, to its virtual host.

A virtual host is a field of its route configuration, tag and length included, so that configurations are joined of them
without another look. The routes do not depend on who asks, only the domains do. Source: Envoy
``config/route/v3/route_components.proto``; istiod's ``pilot/pkg/networking/core/httproute.go``.
"""

from __future__ import annotations

from typing import Final

from pilotpy.compile.domains import Called
from pilotpy.compile.encoded import Rope
from pilotpy.compile.features import timeouts
from pilotpy.compile.http_routes import default_routes, ruled_routes
from pilotpy.compile.naming import PASSTHROUGH
from pilotpy.compile.route_match import everything
from pilotpy.compile.route_settings import route_settings
from pilotpy.compile.vantage import Vantage, toward
from pilotpy.compile.wire import delimited, integer, serialised
from pilotpy.engine import Asking, query
from pilotpy.mesh.aliases import aliases
from pilotpy.mesh.services import service
from pilotpy.mesh.view import Fallback, Selected
from pilotpy.mesh.virtual_addresses import as_seen_in
from pilotpy.model.resource import Ref
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import Route, VirtualHost

_FIELD: Final = 2  # virtual_hosts of RouteConfiguration
EVERYTHING: Final = "*"
NOTHING: Final = Rope(())


@query
def virtual_host(q: Asking, selected: Selected, port: int, called: Called, seen_from: Vantage) -> Rope:
    """The virtual host of a service's port; no bytes if no domain is left for it."""
    found = q(service, selected.service)
    if found is None:
        return NOTHING
    domains = called.domains(as_seen_in(q, found, called.cluster), aliases(q, selected.service.host), port)
    routes = _routes(q, selected, port, seen_from)
    return _field(
        f"{selected.service.host}:{port}", domains, routes, attempts_counted=q(route_settings).attempts_counted
    )


@query
def sniffed_host(q: Asking, selected: Selected, port: int, seen_from: Vantage) -> Rope:
    """The virtual host of a service's port for a listener that serves nothing else: any domain means the service."""
    routes = _routes(q, selected, port, seen_from)
    return _field(
        f"{selected.service.host}:{port}", (EVERYTHING,), routes, attempts_counted=q(route_settings).attempts_counted
    )


@query
def loose_host(q: Asking, host: str, ref: Ref, port: int, seen_from: Vantage) -> Rope:
    """The virtual host of a VirtualService's host that is no service; no bytes if no rule holds on the port."""
    routes = q(ruled_routes, ref, port, seen_from)
    domains = (host,) if routes else ()
    return _field(f"{host}:{port}", domains, routes, attempts_counted=q(route_settings).attempts_counted)


@query
def fallback_host(q: Asking, fallback: Fallback) -> Rope:
    """The virtual host for unknown destinations: on their way, or refused with 502."""
    name = "allow_any" if fallback.allow_any else "block_all"
    route = Route(name=name, match=everything())
    if fallback.allow_any:
        route.route.cluster = fallback.egress_proxy or PASSTHROUGH
        route.route.append_x_forwarded_host = q(route_settings).host_told
        timeouts.bound(route.route, timeouts.NONE)
    else:
        route.direct_response.status = 502
    host = VirtualHost(name=name, domains=[EVERYTHING], routes=[route])
    host.include_request_attempt_count = q(route_settings).attempts_counted
    return Rope([delimited(_FIELD, serialised(host))])


def _field(name: str, domains: tuple[str, ...], routes: bytes, *, attempts_counted: bool) -> Rope:
    if not domains:
        return NOTHING
    host = [
        delimited(VirtualHost.NAME_FIELD_NUMBER, name.encode()),
        *(delimited(VirtualHost.DOMAINS_FIELD_NUMBER, domain.encode()) for domain in domains),
        routes,
        integer(VirtualHost.INCLUDE_REQUEST_ATTEMPT_COUNT_FIELD_NUMBER, attempts_counted),
    ]
    return Rope([delimited(_FIELD, b"".join(host))])


def _routes(q: Asking, selected: Selected, port: int, seen_from: Vantage) -> bytes:
    """The routes of a service's port: those of the first VirtualService that says anything there, else the default."""
    for ref in selected.routes:
        routes = q(ruled_routes, ref, port, toward(q, seen_from, (ref,)))
        if routes:
            return routes
    return q(default_routes, selected.service, selected.rules, port)
