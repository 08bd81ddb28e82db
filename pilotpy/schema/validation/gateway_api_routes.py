"""Routes of the Gateway API: conditions that can hold, rules that are told apart, actions that go together.

Expressions are held against RE2, which Envoy uses; an API server takes any.

Source: the validation rules of kubernetes-sigs/gateway-api apis/v1/httproute_types.go, grpcroute_types.go and
tlsroute_types.go.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Protocol

from pilotpy.model.gateway_api_grpc_route import GRPCMethodMatch, GRPCRoute, GRPCRouteMatch, GRPCRouteRule
from pilotpy.model.gateway_api_http_route import (
    HTTPPathMatch,
    HTTPRoute,
    HTTPRouteMatch,
    HTTPRouteRule,
    HTTPRouteTimeouts,
)
from pilotpy.model.gateway_api_stream_routes import StreamRule, TCPRoute, TLSRoute, UDPRoute
from pilotpy.model.resource import Resource
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems
from pilotpy.schema.validation import names, values
from pilotpy.schema.validation.gateway_api_filters import filters, prefix_rewritten, session
from pilotpy.schema.validation.gateway_api_references import backend, backends, parents, unique

_MOST_MATCHES: Final = 128  # of a route
_NEVER: Final = ("//", "/./", "/../", "%2f", "%2F", "#")
_PATH: Final = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+")
_SERVICE: Final = re.compile(r"\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*", re.IGNORECASE | re.ASCII)
_METHOD: Final = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


class _Condition(Protocol):
    """On a header or a query parameter."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def type(self) -> str: ...


def http_route(resource: Resource[HTTPRoute]) -> Problems:
    """What is wrong with an HTTPRoute."""
    route = resource.spec
    yield from parents(route.parent_refs, "spec.parentRefs")
    yield from _rules(route.rules)
    for i, rule in enumerate(route.rules):
        yield from _http_rule(rule, below("spec.rules", i))


def grpc_route(resource: Resource[GRPCRoute]) -> Problems:
    """What is wrong with a GRPCRoute."""
    route = resource.spec
    yield from parents(route.parent_refs, "spec.parentRefs")
    yield from _rules(route.rules)
    for i, rule in enumerate(route.rules):
        yield from _grpc_rule(rule, below("spec.rules", i))


def tls_route(resource: Resource[TLSRoute]) -> Problems:
    """What is wrong with a TLSRoute."""
    for i, host in enumerate(resource.spec.hostnames):
        if names.is_address(host.removeprefix("*.")):
            yield Problem(
                below("spec.hostnames", i), f"{host!r} is an address, and SNI has no addresses", "Write a name"
            )
    yield from stream_route(resource)


def stream_route(resource: Resource[TLSRoute] | Resource[TCPRoute] | Resource[UDPRoute]) -> Problems:
    """What is wrong with a TCPRoute or UDPRoute."""
    route = resource.spec
    yield from parents(route.parent_refs, "spec.parentRefs")
    yield from _named(route.rules)
    for i, rule in enumerate(route.rules):
        yield from backends(rule.backend_refs, f"{below('spec.rules', i)}.backendRefs")


def _named(rules: Sequence[HTTPRouteRule | GRPCRouteRule | StreamRule]) -> Problems:
    yield from unique((rule.name for rule in rules), "spec.rules", "name", "rules")


def _rules(rules: Sequence[HTTPRouteRule | GRPCRouteRule]) -> Problems:
    yield from _named(rules)
    if (matches := sum(len(rule.matches) for rule in rules)) > _MOST_MATCHES:
        yield Problem("spec.rules", f"A route may have at most {_MOST_MATCHES} matches, found {matches}")


def _http_rule(rule: HTTPRouteRule, at: str) -> Problems:
    for i, match in enumerate(rule.matches):
        yield from _http_match(match, below(f"{at}.matches", i))
    yield from filters(rule.filters, f"{at}.filters")
    lists = {f"{at}.filters": rule.filters}
    for i, one in enumerate(rule.backend_refs):
        here = below(f"{at}.backendRefs", i)
        yield from backend(one, here)
        yield from filters(one.filters, f"{here}.filters")
        lists[f"{here}.filters"] = one.filters
    if rule.backend_refs and any(one.type == "RequestRedirect" for one in rule.filters):
        yield Problem(f"{at}.backendRefs", "A rule that redirects has no backends", "Leave out one of the two")
    prefixes = [match for match in rule.matches if match.path.type == "PathPrefix"]
    for here, given in lists.items():
        if prefix_rewritten(given) and not len(rule.matches) == len(prefixes) == 1:
            yield Problem(here, "ReplacePrefixMatch needs exactly one match, of type PathPrefix")
    yield from _timeouts(rule.timeouts, f"{at}.timeouts")
    yield from session(rule.session_persistence, f"{at}.sessionPersistence")
    if rule.retry:
        yield from unique(rule.retry.codes, f"{at}.retry.codes", "", "codes")


def _grpc_rule(rule: GRPCRouteRule, at: str) -> Problems:
    for i, match in enumerate(rule.matches):
        yield from _grpc_match(match, below(f"{at}.matches", i))
    yield from filters(rule.filters, f"{at}.filters")
    for i, one in enumerate(rule.backend_refs):
        here = below(f"{at}.backendRefs", i)
        yield from backend(one, here)
        yield from filters(one.filters, f"{here}.filters")
    yield from session(rule.session_persistence, f"{at}.sessionPersistence")


def _http_match(match: HTTPRouteMatch, at: str) -> Problems:
    yield from _path(match.path, f"{at}.path.value")
    yield from _conditions(match.headers, f"{at}.headers", "headers")
    yield from _conditions(match.query_params, f"{at}.queryParams", "parameters")


def _grpc_match(match: GRPCRouteMatch, at: str) -> Problems:
    if match.method:
        yield from _method(match.method, f"{at}.method")
    yield from _conditions(match.headers, f"{at}.headers", "headers")


def _conditions(given: Sequence[_Condition], at: str, what: str) -> Problems:
    yield from unique((one.name for one in given), at, "name", what)
    for i, one in enumerate(given):
        if one.type == "RegularExpression":
            yield from values.regex(one.value, f"{below(at, i)}.value")


def _path(match: HTTPPathMatch, at: str) -> Problems:
    if match.type == "RegularExpression":
        yield from values.regex(match.value, at)
    elif not match.value.startswith("/"):
        yield Problem(at, f"{match.value!r} is not a path: it must begin with /")
    elif found := [part for part in _NEVER if part in match.value]:
        yield Problem(at, f"A path may not contain {found[0]!r}")
    elif match.value.endswith(("/.", "/..")):
        yield Problem(at, f"A path may not end with {match.value.rpartition('/')[2]!r}")
    elif not _PATH.fullmatch(match.value):
        hint = "Letters, digits and -._~!$&'()*+,;=:@/, others as %20"
        yield Problem(at, f"{match.value!r} has characters that no path has", hint)


def _method(match: GRPCMethodMatch, at: str) -> Problems:
    if not (match.service or match.method):
        yield Problem(at, "One of service and method is needed")
    for field, text, form in (("service", match.service, _SERVICE), ("method", match.method, _METHOD)):
        if text and match.type == "RegularExpression":
            yield from values.regex(text, f"{at}.{field}")
        elif text and not form.fullmatch(text):
            yield Problem(f"{at}.{field}", f"{text!r} is not a {field} of gRPC", "Letters, digits and _: shop.Reviews")


def _timeouts(given: HTTPRouteTimeouts | None, at: str) -> Problems:
    if given is None or given.request is None or given.backend_request is None:
        return
    if timedelta(0) < given.request < given.backend_request:
        yield Problem(f"{at}.backendRequest", "A try may not take longer than the whole request, unless that is 0s")
