"""From the HTTP rules of a VirtualService, or from none, to the routes of a virtual host.

One rule becomes one route per match. Reads rules, destinations and the mesh's retry policy, never a client: what of a
client counts (``Vantage``) is in the key. Source: istiod's ``pilot/pkg/networking/core/route/route.go``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pilotpy.compile.destinations import Target, target
from pilotpy.compile.features import (
    cors,
    direct_responses,
    faults,
    forwarding,
    hash_policy,
    headers,
    mirrors,
    redirects,
    retries,
    rewrites,
    timeouts,
)
from pilotpy.compile.naming import cluster_name, outbound_name
from pilotpy.compile.pieces import origin
from pilotpy.compile.route_match import everything, is_everything, match_flaws, route_match
from pilotpy.compile.route_settings import route_settings
from pilotpy.compile.route_site import NOT_RE2, Site
from pilotpy.compile.vantage import Vantage
from pilotpy.compile.wire import delimited, serialised
from pilotpy.engine import Asking, query
from pilotpy.mesh.service import ServiceKey
from pilotpy.mesh.traffic_policy import traffic_rule
from pilotpy.mesh.virtual_services import Rule, holds, rules
from pilotpy.model.resource import Ref
from pilotpy.model.virtual_service import Destination, HTTPMatchRequest
from pilotpy.schema.re2 import RE2
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import Decorator, Route, RouteAction

# What a rule asks for, in the order in which it is written into a route. An action (redirect, response, forwarding) is
# taken by the first that is asked for. From timeouts to retries all is about forwarded requests only.
FEATURES: Final = (
    headers.write,
    redirects.write,
    direct_responses.write,
    forwarding.write,
    timeouts.write,
    rewrites.write,
    mirrors.write,
    hash_policy.write,
    retries.write,
    cors.write,
    faults.write,
)

_ROUTES_FIELD: Final = 3  # of VirtualHost
_DEFAULT: Final = serialised(Route(name="default", match=everything()))


def _unavailable() -> bytes:
    route = Route(name="unavailable", match=everything())
    route.direct_response.status = 503
    return delimited(_ROUTES_FIELD, serialised(route))


# What stands in for routes that could not be made: no request may take a way that nobody chose.
UNAVAILABLE: Final = _unavailable()


@query(otherwise=lambda ref, port, seen_from: UNAVAILABLE)  # noqa: ARG005 - named as the query names them
def ruled_routes(q: Asking, ref: Ref, port: int, seen_from: Vantage) -> bytes:
    """The routes of a VirtualService on a listener's port, as fields of a virtual host; b"": it says nothing there.

    ``seen_from`` is cut down to this VirtualService.
    """
    seen = {selected.service.host: selected for selected in seen_from.abroad}

    def found(to: Destination) -> Target:
        return q(target, to, port, seen.get(to.host))

    made: list[Route] = []
    for index, rule in enumerate(q(rules, ref)):
        site = Site(port, ref, rule, q(route_settings), found, q.note)
        numbers = {match for _, number, match in seen_from.held if number == index}
        made += _routes(rule, site, numbers)
        if not rule.route.match or (made and is_everything(made[-1].match)):
            break  # nothing behind it can be reached
    return b"".join(delimited(_ROUTES_FIELD, serialised(route)) for route in made)


@query(otherwise=lambda key, applied, port: UNAVAILABLE)  # noqa: ARG005 - named as the query names them
def default_routes(q: Asking, key: ServiceKey, applied: tuple[Ref, ...], port: int) -> bytes:
    """The route of a service's port that no VirtualService says anything about, as a field of a virtual host."""
    operation = delimited(Decorator.OPERATION_FIELD_NUMBER, f"{key.host}:{port}/*".encode())
    cluster = delimited(RouteAction.CLUSTER_FIELD_NUMBER, cluster_name(port, "", key.host).encode())
    action = q(default_action, applied, port) if applied else q(default_action, (), 0)
    route = (
        _DEFAULT,
        delimited(Route.ROUTE_FIELD_NUMBER, cluster + action),
        delimited(Route.DECORATOR_FIELD_NUMBER, operation),
    )
    return delimited(_ROUTES_FIELD, b"".join(route))


@query
def default_action(q: Asking, applied: tuple[Ref, ...], port: int) -> bytes:
    """What the routes of services under some rules do with a request, in wire format and but for the cluster."""
    action = RouteAction()
    timeouts.bound(action, timeouts.NONE)
    if applied:
        balancing = q(traffic_rule, applied).policy(port).load_balancer
        hash_policy.add(action, balancing.consistent_hash if balancing else None)
    policy = retries.retry_policy(q(route_settings).retries)
    if policy is not None:
        action.retry_policy.CopyFrom(policy)
    return serialised(action)


def _routes(rule: Rule, site: Site, held: set[int]) -> Iterator[Route]:
    if not rule.route.match:
        yield _route(rule, None, site)
    for number, match in enumerate(rule.route.match):
        if not holds(match, site.port, source_held=number in held):
            continue
        flaws = list(match_flaws(match))
        for field, why in flaws:
            site.report(f"match[{number}].{field}", f"The match is left out: {why}", RE2, code=NOT_RE2)
        if flaws:
            continue
        route = _route(rule, match, site)
        yield route
        if is_everything(route.match):
            return


def _route(rule: Rule, match: HTTPMatchRequest | None, site: Site) -> Route:
    name = rule.route.name
    if match is None:
        route = Route(name=name, match=everything())
    else:
        route = Route(name=f"{name}.{match.name}" if match.name else name, match=route_match(match))
        route.stat_prefix = match.stat_prefix
    route.metadata.CopyFrom(origin(site.source))
    for write in FEATURES:
        write(route, rule.route, site)
    route.decorator.operation = _operation(route, site)
    return route


def _operation(route: Route, site: Site) -> str:
    """What traces call the route: its only destination, else its VirtualService, and the path."""
    match = route.match
    kind = match.WhichOneof("path_specifier")
    path = match.prefix + "*" if kind == "prefix" else match.path if kind == "path" else match.safe_regex.regex
    to = outbound_name(route.route.cluster)
    return f"{to.host}:{to.port}{path}" if to else f"{site.source.name}:{site.port}{path}"
