"""Filters of the Gateway API's routes: each has the field that its type names, and none excludes another.

Source: the validation rules of kubernetes-sigs/gateway-api apis/v1/httproute_types.go and grpcroute_types.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from pilotpy.model.gateway_api_filters import (
    GRPCRouteFilter,
    HTTPCORSFilter,
    HTTPExternalAuthFilter,
    HTTPHeaderFilter,
    HTTPPathModifier,
    HTTPRequestMirrorFilter,
    HTTPRouteFilter,
)
from pilotpy.model.gateway_api_persistence import SessionPersistence
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems
from pilotpy.schema.validation.gateway_api_references import backend, unique

_MEMBERS: Final = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestMirror": "requestMirror",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
    "CORS": "cors",
    "ExternalAuth": "externalAuth",
    "ExtensionRef": "extensionRef",
}
"""By the type of a filter: the field that it has."""
_ONCE: Final = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "CORS")
_PATH_MEMBERS: Final = {"ReplaceFullPath": "replaceFullPath", "ReplacePrefixMatch": "replacePrefixMatch"}
_AUTH_MEMBERS: Final = {"HTTP": "http", "GRPC": "grpc"}


def filters(given: Sequence[HTTPRouteFilter | GRPCRouteFilter], at: str) -> Problems:
    """Filters of a rule or a backend."""
    types = [one.type for one in given]
    for kind in _ONCE:
        if types.count(kind) > 1:
            yield Problem(at, f"There may be at most one {kind}")
    if {"RequestRedirect", "URLRewrite"} <= {*types}:
        yield Problem(at, "Only one of RequestRedirect and URLRewrite may be there")
    for i, one in enumerate(given):
        yield from _filter(one, below(at, i))


def prefix_rewritten(given: Sequence[HTTPRouteFilter]) -> bool:
    """Whether one of the filters replaces what a PathPrefix matched."""
    changing = [one.request_redirect or one.url_rewrite for one in given]
    return any(one and one.path and one.path.type == "ReplacePrefixMatch" for one in changing)


def member(union: msgspec.Struct, chosen: str, members: Mapping[str, str], at: str, by: str = "type") -> Problems:
    """A union: of its members the chosen one is set, and no other. `by`: the field that chooses."""
    names = dict(zip(union.__struct_encode_fields__, union.__struct_fields__, strict=True))
    for choice, field in members.items():
        there = field in names and getattr(union, names[field]) is not None
        if choice == chosen and not there:
            yield Problem(f"{at}.{field}", f"{field} is missing: {by} is {chosen}")
        if choice != chosen and there:
            yield Problem(f"{at}.{field}", f"{field} may only be set where {by} is {choice}, not {chosen}")


def session(persistence: SessionPersistence | None, at: str) -> Problems:
    """How sessions are known."""
    cookie = persistence.cookie_config if persistence else None
    if persistence is None or cookie is None:
        return
    if persistence.type != "Cookie":
        yield Problem(
            f"{at}.cookieConfig", f"cookieConfig may only be set where type is Cookie, not {persistence.type}"
        )
    if cookie.lifetime_type == "Permanent" and persistence.absolute_timeout is None:
        yield Problem(f"{at}.absoluteTimeout", "A cookie that is Permanent needs absoluteTimeout")


def _filter(one: HTTPRouteFilter | GRPCRouteFilter, at: str) -> Problems:
    yield from member(one, one.type, _MEMBERS, at)
    yield from _headers(one.request_header_modifier, f"{at}.requestHeaderModifier")
    yield from _headers(one.response_header_modifier, f"{at}.responseHeaderModifier")
    yield from _mirror(one.request_mirror, f"{at}.requestMirror")
    if isinstance(one, HTTPRouteFilter):
        if one.request_redirect:
            yield from _path(one.request_redirect.path, f"{at}.requestRedirect.path")
        if one.url_rewrite:
            yield from _path(one.url_rewrite.path, f"{at}.urlRewrite.path")
        yield from _cors(one.cors, f"{at}.cors")
        yield from _external_auth(one.external_auth, f"{at}.externalAuth")


def _headers(changes: HTTPHeaderFilter | None, at: str) -> Problems:
    if changes is not None:
        yield from unique((one.name for one in changes.set), f"{at}.set", "name", "headers")
        yield from unique((one.name for one in changes.add), f"{at}.add", "name", "headers")
        yield from unique(changes.remove, f"{at}.remove", "", "headers")


def _mirror(mirror: HTTPRequestMirrorFilter | None, at: str) -> Problems:
    if mirror is None:
        return
    yield from backend(mirror.backend_ref, f"{at}.backendRef")
    share = mirror.fraction
    if share and share.numerator > share.denominator:
        yield Problem(f"{at}.fraction", f"{share.numerator}/{share.denominator} is more than the whole")


def _path(modifier: HTTPPathModifier | None, at: str) -> Problems:
    if modifier is not None:
        yield from member(modifier, modifier.type, _PATH_MEMBERS, at)


def _cors(policy: HTTPCORSFilter | None, at: str) -> Problems:
    if policy is None:
        return
    lists: dict[str, Sequence[str]] = {
        "allowOrigins": policy.allow_origins,
        "allowMethods": policy.allow_methods,
        "allowHeaders": policy.allow_headers,
        "exposeHeaders": policy.expose_headers,
    }
    for field, given in lists.items():
        yield from unique(given, f"{at}.{field}", "", "entries")
        if field != "exposeHeaders" and "*" in given and len(given) > 1:
            yield Problem(f"{at}.{field}", "There may be nothing beside *, which is all")


def _external_auth(auth: HTTPExternalAuthFilter | None, at: str) -> Problems:
    if auth is not None:
        yield from member(auth, auth.protocol, _AUTH_MEMBERS, at, "protocol")
        yield from backend(auth.backend_ref, f"{at}.backendRef")
