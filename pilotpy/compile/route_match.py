"""From an HTTP match to Envoy's ``RouteMatch``.

Source: Envoy ``config/route/v3/route_components.proto``; istiod's ``TranslateRouteMatch``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pilotpy.compile.header_text import unfit_name
from pilotpy.compile.string_match import flaw, is_presence, matcher
from pilotpy.model.virtual_service import HTTPMatchRequest, StringMatch
from pilotpy.schema.re2 import refusal
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import HeaderMatcher, QueryParameterMatcher, RouteMatch
from pilotpy_protos.envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher

_CLAIMS: Final = "@request.auth.claims"
_JWT_FILTER: Final = "envoy.filters.http.jwt_authn"


def everything() -> RouteMatch:
    """Matches every request."""
    return RouteMatch(prefix="/")


def is_everything(match: RouteMatch) -> bool:
    """Whether no route after this one can be reached."""
    return not (match.headers or match.query_parameters or match.dynamic_metadata) and (
        match.prefix == "/" or match.safe_regex.regex == ".*"
    )


def match_flaws(match: HTTPMatchRequest) -> Iterator[tuple[str, str]]:
    """Yield (field, why) for each condition that Envoy would refuse."""
    if (uri := match.uri) is not None and uri.exact is None and uri.prefix is None and uri.regex is not None:
        why = refusal(uri.regex) if uri.regex else "it is empty"
        if why:
            yield "uri", f"Envoy refuses the expression {uri.regex!r}: {why}"
    conditions: list[tuple[str, str, StringMatch]] = [
        (field, field, value)
        for field, value in (("method", match.method), ("authority", match.authority), ("scheme", match.scheme))
        if value is not None
    ]
    for field, named in (
        ("headers", match.headers),
        ("withoutHeaders", match.without_headers),
        ("queryParams", match.query_params),
    ):
        conditions += [(f"{field}.{name}", name, value) for name, value in named.items()]
    for field, name, value in conditions:
        if why := flaw(value):
            yield field, why
        elif why := unfit_name(name):
            yield field, f"the name {why}"


def route_match(match: HTTPMatchRequest) -> RouteMatch:
    """Envoy's form of a match without flaws. What the control plane checks itself is left out."""
    made = RouteMatch()
    _write_path(made, match.uri or StringMatch(prefix="/"))
    made.case_sensitive.value = not match.ignore_uri_case
    headers: list[HeaderMatcher] = []
    for name, value in sorted(match.headers.items()):
        if claims := _claims(name):
            made.dynamic_metadata.append(_claim_matcher(claims, value))
        else:
            headers.append(_header(name, value))
    for name, value in sorted(match.without_headers.items()):
        if claims := _claims(name):
            made.dynamic_metadata.append(_claim_matcher(claims, value, invert=True))
        else:
            # A header that is not there at all does not match either; presence says so by itself.
            headers.append(
                _header(name, value, invert_match=True, treat_missing_header_as_empty=not is_presence(value))
            )
    made.headers.extend(sorted(headers, key=lambda header: header.name))
    for pseudo, condition in ((":method", match.method), (":authority", match.authority), (":scheme", match.scheme)):
        if condition is not None:
            made.headers.append(_header(pseudo, condition))
    made.query_parameters.extend(_parameter(name, value) for name, value in sorted(match.query_params.items()))
    return made


def _write_path(made: RouteMatch, uri: StringMatch) -> None:
    if uri.exact is not None:
        made.path = uri.exact
    elif uri.regex is not None and uri.prefix is None:
        made.safe_regex.regex = uri.regex
    else:
        made.prefix = "/" if uri.prefix is None else uri.prefix


def _header(
    name: str, value: StringMatch, *, invert_match: bool = False, treat_missing_header_as_empty: bool = False
) -> HeaderMatcher:
    made = HeaderMatcher(
        name=name, invert_match=invert_match, treat_missing_header_as_empty=treat_missing_header_as_empty
    )
    if is_presence(value):
        made.present_match = True
    else:
        made.string_match.CopyFrom(matcher(value))
    return made


def _parameter(name: str, value: StringMatch) -> QueryParameterMatcher:
    made = QueryParameterMatcher(name=name)
    if is_presence(value):
        made.present_match = True
    else:
        made.string_match.CopyFrom(matcher(value))
    return made


def _claims(header: str) -> list[str]:
    """The path of a JWT's claim that a header's name stands for ("...claims.group.id", "...claims[group][id]")."""
    if not header.lower().startswith(_CLAIMS):
        return []
    path = header[len(_CLAIMS) :]
    if path.startswith(".") and len(path) > 1:
        return path[1:].split(".")
    if path.startswith("[") and path.endswith("]") and len(path) > 2:
        return path[1:-1].split("][")
    return []


def _claim_matcher(claims: list[str], value: StringMatch, *, invert: bool = False) -> MetadataMatcher:
    # A claim is a string or a list of strings: either may match.
    made = MetadataMatcher(filter=_JWT_FILTER, invert=invert)
    for key in ("payload", *claims):
        made.path.add(key=key)
    if is_presence(value):
        made.value.present_match = True
        return made
    wanted = matcher(value)
    made.value.or_match.value_matchers.add().list_match.one_of.string_match.CopyFrom(wanted)
    made.value.or_match.value_matchers.add().string_match.CopyFrom(wanted)
    return made
