"""HTTP rules of a VirtualService: matches, actions that exclude each other, destinations.

Source: istio/istio pkg/config/validation/virtualservice.go and validation.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from pilotpy.model.virtual_service import (
    CorsPolicy,
    Destination,
    Headers,
    HTTPDirectResponse,
    HTTPMatchRequest,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    HTTPRoute,
    HTTPRouteDestination,
    RouteDestination,
)
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import names, values
from pilotpy.schema.validation.faults import faults

_METHODS: Final = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"])
_LARGE, _TOO_LARGE = 100 * 1024, 1024 * 1024
_STATUSES: Final = frozenset(str(status.value) for status in HTTPStatus)
_RETRY_ON: Final = frozenset(
    {
        "5xx",
        "cancelled",
        "connect-failure",
        "deadline-exceeded",
        "envoy-ratelimited",
        "gateway-error",
        "http3-post-connect-failure",
        "internal",
        "refused-stream",
        "reset",
        "reset-before-request",
        "resource-exhausted",
        "retriable-4xx",
        "retriable-headers",
        "retriable-status-codes",
        "unavailable",
    }
)


def http_route(route: HTTPRoute, at: str, *, delegate: bool) -> Problems:
    """What is wrong with a rule. `delegate`: it is one of a VirtualService that others delegate to."""
    yield from _conflicts(route, at, delegate=delegate)
    for i, match in enumerate(route.match):
        yield from _match(match, below(f"{at}.match", i))
    yield from values.headers(route.headers, f"{at}.headers")
    yield from _cors(route.cors_policy, f"{at}.corsPolicy")
    yield from faults(route.fault, f"{at}.fault")
    yield from _mirrors(route, at)
    yield from _redirect(route.redirect, route.match, f"{at}.redirect")
    yield from _direct_response(route.direct_response, f"{at}.directResponse")
    yield from retries(route.retries, f"{at}.retries")
    yield from _rewrite(route.rewrite, f"{at}.rewrite")
    yield from _one_authority(route.rewrite, route.headers, at)
    for i, one in enumerate(route.route):
        here = below(f"{at}.route", i)
        if one.destination is None:
            yield Problem(f"{here}.destination", "The destination is missing")
        else:
            yield from destination(one.destination, f"{here}.destination")
        yield from values.headers(one.headers, f"{here}.headers")
    yield from weights(route.route, f"{at}.route")
    yield from values.duration(route.timeout, f"{at}.timeout")


def destination(given: Destination, at: str) -> Problems:
    """A service that traffic is sent to."""
    if given.host == "*":
        yield Problem(f"{at}.host", 'Traffic cannot be sent to "*"')
    else:
        yield from names.wildcard_domain(given.host, f"{at}.host")
    if given.subset and not names.is_label(given.subset):
        yield Problem(f"{at}.subset", f"{given.subset!r} is not the name of a subset", names.AS_LABEL)
    if given.port is not None:
        yield from names.port(given.port.number, f"{at}.port.number")


def weights(route: Sequence[HTTPRouteDestination | RouteDestination], at: str) -> Problems:
    """Shares of the traffic: in proportion to their sum, which need not be 100."""
    for i, one in enumerate(route):
        yield from values.not_negative(one.weight, f"{below(at, i)}.weight")
    total = sum(one.weight for one in route)
    if len(route) > 1 and total == 0:
        yield Problem(at, "The weights are all 0", "Give one destination a weight above 0")


def retries(policy: HTTPRetry | None, at: str) -> Problems:
    """When a request is sent again."""
    if policy is None:
        return
    yield from values.not_negative(policy.attempts, f"{at}.attempts")
    if policy.attempts == 0 and (
        policy.per_try_timeout is not None or policy.retry_on or policy.retry_remote_localities is not None
    ):
        yield Problem(
            at,
            "With 0 attempts there are no retries to be configured",
            "Leave all but attempts out, or allow 1 at least",
        )
    yield from values.duration(policy.per_try_timeout, f"{at}.perTryTimeout")
    yield from values.duration(policy.backoff, f"{at}.backoff")
    for word in policy.retry_on.split(",") if policy.retry_on else ():
        if word not in _RETRY_ON and word not in _STATUSES:
            yield Problem(
                f"{at}.retryOn",
                f"{word!r} is not a reason to retry",
                "Write words of Envoy (5xx, reset) or gRPC (unavailable), or a status",
            )


def _conflicts(route: HTTPRoute, at: str, *, delegate: bool) -> Problems:
    if route.delegate and not delegate:
        for field, given in (("redirect", route.redirect), ("route", route.route)):
            if given:
                yield Problem(f"{at}.{field}", f"A rule that delegates may have no {field}")
    else:
        if route.delegate:
            yield Problem(f"{at}.delegate", "A delegate cannot delegate further")
        yield from _actions(route, at)
    if route.mirror and route.mirrors:
        yield Problem(f"{at}.mirrors", "Only one of mirror and mirrors may be set")


def _actions(route: HTTPRoute, at: str) -> Problems:
    actions = {"route": route.route, "redirect": route.redirect, "directResponse": route.direct_response}
    chosen = [name for name, given in actions.items() if given]
    if not chosen:
        yield Problem(at, "One of route, redirect and directResponse is needed")
    if len(chosen) > 1:
        yield Problem(at, f"Only one of {' and '.join(chosen)} may be set")
    if route.redirect or route.direct_response:
        for field, extra in (("fault", route.fault), ("rewrite", route.rewrite)):
            if extra:
                yield Problem(f"{at}.{field}", f"There is no {field} where nothing is sent on")


def _match(match: HTTPMatchRequest, at: str) -> Problems:
    for name, header in match.headers.items():
        yield from values.matched_header_name(name, below(f"{at}.headers", name))
        yield from values.string_match(header, below(f"{at}.headers", name))
    for name, header in match.without_headers.items():
        yield from values.matched_header_name(name, below(f"{at}.withoutHeaders", name))
        if header.regex != "*":  # present at all
            yield from values.string_match(header, below(f"{at}.withoutHeaders", name))
    if match.uri and match.uri.regex is not None:
        yield from values.regex(match.uri.regex, f"{at}.uri.regex")
    for field, given in (("scheme", match.scheme), ("method", match.method), ("authority", match.authority)):
        yield from values.string_match(given, f"{at}.{field}")
    for name, parameter in match.query_params.items():
        yield from values.string_match(parameter, below(f"{at}.queryParams", name))
    if match.port:
        yield from names.port(match.port, f"{at}.port")
    yield from names.labels(match.source_labels, f"{at}.sourceLabels")
    yield from names.gateways(match.gateways, f"{at}.gateways")
    if match.source_namespace and not names.is_label(match.source_namespace):
        yield Problem(f"{at}.sourceNamespace", f"{match.source_namespace!r} is not a namespace", names.AS_LABEL)


def _cors(policy: CorsPolicy | None, at: str) -> Problems:
    if policy is None:
        return
    for i, origin in enumerate(policy.allow_origins):
        here = below(f"{at}.allowOrigins", i)
        if not (origin.exact or origin.prefix or origin.regex):
            yield Problem(
                here,
                "An origin is matched by exact, prefix or regex, and not by nothing",
                "Write exact: https://shop.example",
            )
        elif origin.regex is not None:
            yield from values.regex(origin.regex, f"{here}.regex")
    for i, method in enumerate(policy.allow_methods):
        if method not in _METHODS:
            yield Problem(
                below(f"{at}.allowMethods", i), f"{method!r} is not a method of HTTP", "Write it in capitals: GET"
            )
    for field, listed in (("allowHeaders", policy.allow_headers), ("exposeHeaders", policy.expose_headers)):
        for i, name in enumerate(listed):
            yield from values.listed_header_name(name, below(f"{at}.{field}", i))
    yield from values.duration(policy.max_age, f"{at}.maxAge")
    if policy.max_age is not None and policy.max_age % timedelta(seconds=1):
        yield Problem(f"{at}.maxAge", "The age is in whole seconds")


def _mirrors(route: HTTPRoute, at: str) -> Problems:
    if route.mirror_percent is not None:
        yield from values.percent(route.mirror_percent, f"{at}.mirrorPercent")
        yield warning(f"{at}.mirrorPercent", "mirrorPercent is deprecated", "Use mirrorPercentage")
    if route.mirror_percentage is not None:
        yield from values.percent(route.mirror_percentage.value, f"{at}.mirrorPercentage.value")
    if route.mirror is not None:
        yield from destination(route.mirror, f"{at}.mirror")
    for i, mirror in enumerate(route.mirrors):
        here = below(f"{at}.mirrors", i)
        if mirror.destination is None:
            yield Problem(f"{here}.destination", "The destination is missing")
        else:
            yield from destination(mirror.destination, f"{here}.destination")
        if mirror.percentage is not None:
            yield from values.percent(mirror.percentage.value, f"{here}.percentage.value")


def _redirect(redirect: HTTPRedirect | None, matches: tuple[HTTPMatchRequest, ...], at: str) -> Problems:
    if redirect is None:
        return
    port = redirect.port is not None or redirect.derive_port is not None
    if redirect.uri and redirect.prefix_rewrite:
        yield Problem(at, "Only one of uri and prefixRewrite may be set")
    elif redirect.prefix_rewrite and any(match.uri and match.uri.prefix is None for match in matches):
        yield Problem(f"{at}.prefixRewrite", "All matches on the uri must be by prefix for one to be rewritten")
    elif not (redirect.uri or redirect.prefix_rewrite or redirect.authority or redirect.scheme or port):
        yield Problem(at, "One of uri, prefixRewrite, authority, scheme and port is needed")
    if redirect.redirect_code and not 300 <= redirect.redirect_code <= 399:
        yield Problem(
            f"{at}.redirectCode",
            f"{redirect.redirect_code} is not a redirect, 300 to 399",
            "Write 301, 302, 303, 307 or 308",
        )
    if redirect.scheme not in {"", "http", "https"}:
        yield Problem(f"{at}.scheme", f"{redirect.scheme!r} is neither http nor https")
    if redirect.port:
        yield from names.port(redirect.port, f"{at}.port")


def _direct_response(response: HTTPDirectResponse | None, at: str) -> Problems:
    if response is None:
        return
    yield from values.http_status(response.status, f"{at}.status")
    body = response.body
    size = len((body.string or "").encode(errors="replace")) + len(body.bytes_ or b"") if body else 0
    if size > _TOO_LARGE:
        yield Problem(f"{at}.body", "The body is larger than 1 MiB")
    elif size > _LARGE:
        yield warning(f"{at}.body", "The body is larger than 100 KiB and goes to every proxy")


def _rewrite(rewrite: HTTPRewrite | None, at: str) -> Problems:
    if rewrite is None:
        return
    by_regex = rewrite.uri_regex_rewrite
    if rewrite.uri and by_regex:
        yield Problem(at, "Only one of uri and uriRegexRewrite may be set")
    if not (rewrite.uri or by_regex or rewrite.authority):
        yield Problem(at, "One of uri, uriRegexRewrite and authority is needed")
    if by_regex and not (by_regex.match and by_regex.rewrite):
        yield Problem(f"{at}.uriRegexRewrite", "Both match and rewrite are needed")
    elif by_regex:
        yield from values.regex(by_regex.match, f"{at}.uriRegexRewrite.match")


def _one_authority(rewrite: HTTPRewrite | None, headers: Headers | None, at: str) -> Problems:
    """The host is rewritten in one place only."""
    written = [rewrite.authority] if rewrite and rewrite.authority else []
    if headers and headers.request:
        for given in (headers.request.set, headers.request.add):
            written += [value for name, value in given.items() if values.is_host(name)]
    if len(written) > 1:
        yield Problem(
            at, f"The host is rewritten in several places: to {' and '.join(written)}", "Write it in one of them"
        )
