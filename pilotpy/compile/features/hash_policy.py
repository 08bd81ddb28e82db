"""What requests are hashed by: ``ConsistentHashLB`` of the destinations to Envoy's ``HashPolicy``.

The cluster chooses the ring; the route must say what the hash is of. Source: Envoy
``config/route/v3/route_components.proto``; Istio ``LoadBalancerSettings.ConsistentHashLB``.
"""

from __future__ import annotations

from pilotpy.compile.route_site import Site
from pilotpy.model.destination_rule import ConsistentHashLB
from pilotpy.model.virtual_service import HTTPRoute
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import Route, RouteAction


def write(route: Route, rule: HTTPRoute, site: Site) -> None:
    """Hash as each destination wants it; Envoy combines several."""
    if not route.HasField("route"):
        return
    alone = len(rule.route) == 1
    for to in rule.route:
        if to.destination is not None and (alone or to.weight > 0):
            add(route.route, site.target(to.destination).consistent_hash)


def add(action: RouteAction, wanted: ConsistentHashLB | None) -> None:
    """Hash by one header, cookie, address or query parameter; nothing if none of these is named."""
    if wanted is None:
        return
    if wanted.http_header_name:
        action.hash_policy.add().header.header_name = wanted.http_header_name
    elif wanted.http_cookie is not None and wanted.http_cookie.name:
        cookie = action.hash_policy.add().cookie
        cookie.name = wanted.http_cookie.name
        cookie.path = wanted.http_cookie.path
        if wanted.http_cookie.ttl is not None:
            cookie.ttl.FromTimedelta(wanted.http_cookie.ttl)
        for attribute in wanted.http_cookie.attributes:
            cookie.attributes.add(name=attribute.name, value=attribute.value)
    elif wanted.use_source_ip:
        action.hash_policy.add().connection_properties.source_ip = True
    elif wanted.http_query_parameter_name:
        action.hash_policy.add().query_parameter.name = wanted.http_query_parameter_name
