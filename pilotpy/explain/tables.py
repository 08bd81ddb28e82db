"""Which virtual host of a route table takes a request, and which of its routes: as Envoy chooses.

Hosts by the closest domain: the exact one, then the longest ``*.suffix``, then the longest ``prefix.*``, then ``*``.
Routes in their order, the first that matches. One that takes but a share of requests (``runtime_fraction``) matches.
Source: envoy/config/route/v3/route_components.proto (VirtualHost, RouteMatch, HeaderMatcher).
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from pilotpy.explain.connection import Request
from pilotpy.schema.re2 import matches
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import (
    HeaderMatcher,
    QueryParameterMatcher,
    Route,
    RouteMatch,
    VirtualHost,
)
from pilotpy_protos.envoy.config.route.v3.route_pb2 import RouteConfiguration
from pilotpy_protos.envoy.type.matcher.v3.string_pb2 import StringMatcher


class Unexplained(ValueError):
    """A matcher that this walk does not know; the message names it."""


def virtual_host_of(table: RouteConfiguration, authority: str) -> VirtualHost | None:
    """Return the virtual host of an authority ("host" or "host:port"); None: the answer is 404."""
    host = authority.lower()
    if table.ignore_port_in_host_matching:
        name, colon, port = host.rpartition(":")
        host = name if colon and port.isdigit() else host
    ranked = (
        (rank, hosts) for hosts in table.virtual_hosts for domain in hosts.domains if (rank := _rank(domain, host))
    )
    return max(ranked, key=lambda one: one[0], default=(None, None))[1]


def route_of(host: VirtualHost, request: Request) -> Route | None:
    """Return the first route that takes a request; None: the answer is 404. Raises ``Unexplained``."""
    return next((route for route in host.routes if _takes(route.match, request)), None)


def _rank(domain: str, host: str) -> tuple[int, int] | None:
    """How closely a domain matches, larger is closer; None if it does not."""
    domain = domain.lower()
    if domain == host:
        return (3, 0)
    if domain == "*":
        return (0, 0)
    if domain.startswith("*") and host.endswith(domain[1:]) and len(host) >= len(domain):
        return (2, len(domain))
    if domain.endswith("*") and host.startswith(domain[:-1]) and len(host) >= len(domain):
        return (1, len(domain))
    return None


def _takes(match: RouteMatch, request: Request) -> bool:
    path, _, query = request.path.partition("?")
    return (
        _path_matches(match, path)
        and all(_header_matches(one, request) for one in match.headers)
        and all(
            _parameter_matches(one, dict(parse_qsl(query, keep_blank_values=True))) for one in match.query_parameters
        )
        and (not match.HasField("grpc") or (request.header("content-type") or "").startswith("application/grpc"))
    )


def _path_matches(match: RouteMatch, path: str) -> bool:
    def folded(text: str) -> str:
        sensitive = match.case_sensitive.value if match.HasField("case_sensitive") else True
        return text if sensitive else text.lower()

    match match.WhichOneof("path_specifier"):
        case "prefix":
            return folded(path).startswith(folded(match.prefix))
        case "path":
            return folded(path) == folded(match.path)
        case "path_separated_prefix":
            wanted = folded(match.path_separated_prefix)
            return folded(path) == wanted or folded(path).startswith(wanted + "/")
        case "safe_regex":
            return matches(match.safe_regex.regex, path)
        case other:
            raise Unexplained(f"route match {other}")


def _header_matches(matcher: HeaderMatcher, request: Request) -> bool:
    value = request.header(matcher.name)
    if value is None and matcher.treat_missing_header_as_empty:
        value = ""
    match matcher.WhichOneof("header_match_specifier"):
        case "present_match":
            return ((value is not None) == matcher.present_match) != matcher.invert_match
        case None:
            return (value is not None) != matcher.invert_match
        case "string_match":
            # What is not there does not match, inverted or not.
            return value is not None and _text_matches(matcher.string_match, value) != matcher.invert_match
        case other:
            raise Unexplained(f"header matcher {other}")


def _parameter_matches(matcher: QueryParameterMatcher, parameters: dict[str, str]) -> bool:
    value = parameters.get(matcher.name)
    match matcher.WhichOneof("query_parameter_match_specifier"):
        case "present_match":
            return (value is not None) == matcher.present_match
        case None:
            return value is not None
        case _:
            return value is not None and _text_matches(matcher.string_match, value)


def _text_matches(matcher: StringMatcher, text: str) -> bool:
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return matches(matcher.safe_regex.regex, text)
    if kind not in {"exact", "prefix", "suffix", "contains"}:
        raise Unexplained(f"string matcher {kind}")
    wanted = str(getattr(matcher, kind))
    if matcher.ignore_case:
        text, wanted = text.lower(), wanted.lower()
    match kind:
        case "exact":
            return text == wanted
        case "prefix":
            return text.startswith(wanted)
        case "suffix":
            return text.endswith(wanted)
        case _:
            return wanted in text
