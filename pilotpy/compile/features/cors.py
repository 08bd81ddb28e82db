"""Cross-origin requests: ``CorsPolicy`` to the per-route settings of Envoy's CORS filter.

Reads   ``HTTPRoute.cors_policy``.
Writes  ``Route.typed_per_filter_config[FILTER]``; the listener has the filter itself.
Source  Envoy ``extensions/filters/http/cors/v3/cors.proto``; Istio ``CorsPolicy``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pilotpy.compile.features.shares import per_hundred
from pilotpy.compile.route_site import NOT_RE2, Site
from pilotpy.compile.string_match import flaw, is_presence, matcher
from pilotpy.compile.wire import packed
from pilotpy.model.virtual_service import CorsPolicy, HTTPRoute, StringMatch
from pilotpy.schema.re2 import RE2
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import Route
from pilotpy_protos.envoy.extensions.filters.http.cors.v3 import cors_pb2

FILTER: Final = "envoy.filters.http.cors"


def write(route: Route, rule: HTTPRoute, site: Site) -> None:
    """Let the filter answer preflights and mark responses."""
    if rule.cors_policy is not None:
        route.typed_per_filter_config[FILTER].CopyFrom(packed(_policy(rule.cors_policy, site)))


def _policy(wanted: CorsPolicy, site: Site) -> cors_pb2.CorsPolicy:
    policy = cors_pb2.CorsPolicy(
        allow_methods=",".join(wanted.allow_methods),
        allow_headers=",".join(wanted.allow_headers),
        expose_headers=",".join(wanted.expose_headers),
    )
    policy.filter_enabled.default_value.CopyFrom(per_hundred(100))
    policy.forward_not_matching_preflights.value = wanted.unmatched_preflights != "IGNORE"
    for index, origin in enumerate(wanted.allow_origins or _exactly(wanted.allow_origin)):
        if why := "it names none" if is_presence(origin) else flaw(origin):
            site.report(f"corsPolicy.allowOrigins[{index}]", f"The origin is left out: {why}", RE2, code=NOT_RE2)
        else:
            policy.allow_origin_string_match.append(matcher(origin))
    if wanted.max_age is not None:
        policy.max_age = str(wanted.max_age // timedelta(seconds=1))
    if wanted.allow_credentials is not None:
        policy.allow_credentials.value = wanted.allow_credentials
    return policy


def _exactly(origins: tuple[str, ...]) -> tuple[StringMatch, ...]:
    return tuple(StringMatch(exact=origin) for origin in origins)
