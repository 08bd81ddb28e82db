"""Rewrites of path and authority: ``HTTPRoute.rewrite``, and headers that name the host.

Source: Envoy ``config/route/v3/route_components.proto``, ``RouteAction``; Istio ``HTTPRewrite``.
"""

from __future__ import annotations

from pilotpy.compile.features.headers import authority
from pilotpy.compile.header_text import PRINTABLE, unfit
from pilotpy.compile.route_site import Site
from pilotpy.model.virtual_service import HTTPRewrite, HTTPRoute
from pilotpy.schema.re2 import RE2, capture_groups, refusal
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import Route


def write(route: Route, rule: HTTPRoute, site: Site) -> None:
    """Rewrite requests that are forwarded. The rule's own authority wins over that of its destination."""
    if not route.HasField("route"):
        return
    wanted = rule.rewrite or HTTPRewrite()
    route.route.append_x_forwarded_host = rule.rewrite is not None and site.settings.host_told
    host = wanted.authority or authority(rule.headers)
    if host:
        if why := unfit(host):
            site.refuse(route, "rewrite.authority", f"An authority {why}", PRINTABLE)
            return
        route.route.host_rewrite_literal = host
    if wanted.uri_regex_rewrite is not None:
        _by_expression(route, wanted.uri_regex_rewrite.match, wanted.uri_regex_rewrite.rewrite, site)
    elif wanted.uri:
        if why := unfit(wanted.uri):
            site.refuse(route, "rewrite.uri", f"A path {why}", PRINTABLE)
            return
        route.route.prefix_rewrite = wanted.uri


def _by_expression(route: Route, match: str, rewrite: str, site: Site) -> None:
    if why := "it is empty" if not match else refusal(match):
        site.refuse(route, "rewrite.uriRegexRewrite.match", f"Envoy refuses the expression {match!r}: {why}", RE2)
        return
    if why := unfit(rewrite) or _beyond_groups(match, rewrite):
        site.refuse(
            route,
            "rewrite.uriRegexRewrite.rewrite",
            f"A substitution {why}",
            "write \\1 for a group, \\\\ for a backslash",
        )
        return
    route.route.regex_rewrite.pattern.regex = match
    route.route.regex_rewrite.substitution = rewrite


def _beyond_groups(match: str, rewrite: str) -> str:
    """What RE2 has against a substitution: escapes other than of a group that there is."""
    groups = capture_groups(match)
    escaped = iter(rewrite)
    for sign in escaped:
        if sign != "\\":
            continue
        following = next(escaped, "")
        if following.isdigit() and following.isascii():
            if int(following) > groups:
                return f"refers to group {following}, of which the expression has {groups}"
        elif following != "\\":
            return "has a backslash before something else than a digit or a backslash"
    return ""
