"""EnvoyFilter: patches that Istio admits, apart from what Envoy's own types say about their values.

Source: istio/istio pkg/config/validation/envoyfilter/envoyfilter.go.
"""

from __future__ import annotations

from typing import Final

from pilotpy.model.envoy_filter import EnvoyConfigObjectMatch, EnvoyConfigObjectPatch, EnvoyFilter, FilterMatch
from pilotpy.model.resource import Resource
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.re2 import refusal
from pilotpy.schema.validation import names
from pilotpy.schema.validation.selectors import selector

_CONNECTION_MANAGERS: Final = frozenset(
    {"envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"}
)
_RENAMED: Final = {
    "envoy.buffer": "envoy.filters.http.buffer",
    "envoy.client_ssl_auth": "envoy.filters.network.client_ssl_auth",
    "envoy.cors": "envoy.filters.http.cors",
    "envoy.csrf": "envoy.filters.http.csrf",
    "envoy.ext_authz": "envoy.filters.http.ext_authz",
    "envoy.fault": "envoy.filters.http.fault",
    "envoy.grpc_http1_bridge": "envoy.filters.http.grpc_http1_bridge",
    "envoy.grpc_json_transcoder": "envoy.filters.http.grpc_json_transcoder",
    "envoy.grpc_web": "envoy.filters.http.grpc_web",
    "envoy.health_check": "envoy.filters.http.health_check",
    "envoy.http_connection_manager": "envoy.filters.network.http_connection_manager",
    "envoy.lua": "envoy.filters.http.lua",
    "envoy.mongo_proxy": "envoy.filters.network.mongo_proxy",
    "envoy.rate_limit": "envoy.filters.http.ratelimit",
    "envoy.ratelimit": "envoy.filters.network.ratelimit",
    "envoy.redis_proxy": "envoy.filters.network.redis_proxy",
    "envoy.router": "envoy.filters.http.router",
    "envoy.tcp_proxy": "envoy.filters.network.tcp_proxy",
}
_MATCHED_BY: Final = {
    **dict.fromkeys(("LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER"), "listener"),
    **dict.fromkeys(("ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"), "routeConfiguration"),
    "CLUSTER": "cluster",
}


def envoy_filter(resource: Resource[EnvoyFilter]) -> Problems:
    """What is wrong with an EnvoyFilter."""
    spec = resource.spec
    labels = spec.workload_selector.labels if spec.workload_selector else None
    yield from selector(labels, "spec.workloadSelector.labels")
    for i, patch in enumerate(spec.config_patches):
        at = below("spec.configPatches", i)
        if patch.match and patch.match.waypoint and patch.match.waypoint.port_number:
            yield from names.port(patch.match.waypoint.port_number, f"{at}.match.waypoint.portNumber")
        if not (patch.match and patch.match.context == "WAYPOINT"):
            yield from _patch(patch, at)


def _patch(one: EnvoyConfigObjectPatch, at: str) -> Problems:
    if one.apply_to == "INVALID":
        yield Problem(f"{at}.applyTo", "What to apply the patch to is missing")
    if one.patch is None:
        yield Problem(f"{at}.patch", "The patch is missing")
    elif one.patch.operation == "INVALID":
        yield Problem(f"{at}.patch.operation", "The operation is missing")
    elif one.patch.operation != "REMOVE" and one.patch.value is None:
        yield Problem(f"{at}.patch.value", "The value is missing")
    if one.match:
        yield from _match(one.match, one.apply_to, f"{at}.match")


def _match(match: EnvoyConfigObjectMatch, apply_to: str, at: str) -> Problems:
    version = match.proxy.proxy_version if match.proxy else ""
    if len(version) > 1024:
        yield warning(f"{at}.proxy.proxyVersion", "The expression has more than 1024 characters: it never matches")
    elif version and (reason := refusal(version)) is not None:
        yield Problem(f"{at}.proxy.proxyVersion", f"The expression is not one of RE2: {reason}")
    matches = {
        "listener": match.listener,
        "routeConfiguration": match.route_configuration,
        "cluster": match.cluster,
        "waypoint": match.waypoint,
    }
    given = [name for name, one in matches.items() if one is not None]
    wanted = _MATCHED_BY.get(apply_to)
    if wanted and given and given != [wanted]:
        yield Problem(
            f"{at}.{given[0]}", f"{apply_to} is matched by {wanted}", f"Match by {wanted} alone, or leave the match out"
        )
    chain = match.listener.filter_chain if match.listener else None
    if wanted == "listener" and chain and chain.filter:
        yield from _filter(chain.filter, apply_to, f"{at}.listener.filterChain.filter")


def _filter(match: FilterMatch, apply_to: str, at: str) -> Problems:
    if apply_to in {"LISTENER", "FILTER_CHAIN"}:
        yield warning(at, f"A match by filter has no effect on {apply_to}")
    for field, name in (("name", match.name), ("subFilter.name", match.sub_filter.name if match.sub_filter else "")):
        if name in _RENAMED:
            yield warning(f"{at}.{field}", f"{name!r} is an old name of a filter", f"Use {_RENAMED[name]}")
    if not match.name:
        yield Problem(f"{at}.name", "The filter's name is missing")
    elif match.sub_filter:
        if apply_to != "HTTP_FILTER":
            yield Problem(
                f"{at}.subFilter",
                f"A match by subFilter is for HTTP_FILTER, not for {apply_to}",
                "Leave subFilter out, or apply the patch to HTTP_FILTER",
            )
        elif match.name not in _CONNECTION_MANAGERS:
            yield Problem(f"{at}.name", "Only envoy.filters.network.http_connection_manager has filters of its own")
        elif not match.sub_filter.name:
            yield Problem(f"{at}.subFilter.name", "The filter's name is missing")
