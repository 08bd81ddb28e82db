"""HTTPRoute: where HTTP requests go.

Source: kubernetes-sigs/gateway-api apis/v1/httproute_types.go.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from pilotpy.model.gateway_api_filters import HTTPRouteFilters, PathText
from pilotpy.model.gateway_api_names import HeaderName, HeaderValue, Hostname, SectionName
from pilotpy.model.gateway_api_persistence import SessionPersistence
from pilotpy.model.gateway_api_references import BackendRef, ParentReferences
from pilotpy.model.message import Declared, ShortDuration


class HTTPPathMatch(Declared, frozen=True):
    """A condition on the path: all of it, leading segments, or an expression."""

    type: Literal["Exact", "PathPrefix", "RegularExpression"] = "PathPrefix"
    value: PathText = "/"


class HTTPHeaderMatch(Declared, frozen=True):
    """A condition on a header; of two on one header the first counts."""

    name: HeaderName
    value: HeaderValue
    type: Literal["Exact", "RegularExpression"] = "Exact"


class HTTPQueryParamMatch(Declared, frozen=True):
    """A condition on a query parameter; of two on one parameter the first counts."""

    name: HeaderName
    value: Annotated[str, Meta(min_length=1, max_length=1024)]
    type: Literal["Exact", "RegularExpression"] = "Exact"


class HTTPRouteMatch(Declared, frozen=True):
    """Conditions on a request; all must hold."""

    path: HTTPPathMatch = HTTPPathMatch()
    headers: Annotated[tuple[HTTPHeaderMatch, ...], Meta(max_length=16)] = ()
    query_params: Annotated[tuple[HTTPQueryParamMatch, ...], Meta(max_length=16)] = ()
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] | None = None


class HTTPBackendRef(BackendRef, frozen=True):
    """One of the weighted destinations of a rule."""

    filters: HTTPRouteFilters = ()


class HTTPRouteTimeouts(Declared, frozen=True):
    """How long an answer may take; 0: for ever."""

    request: ShortDuration | None = None  # all of it, retries too
    backend_request: ShortDuration | None = None  # each try


Status = Annotated[int, Meta(ge=400, le=599)]


class HTTPRouteRetry(Declared, frozen=True):
    """When and how often a failed request is sent again."""

    codes: tuple[Status, ...] = ()
    attempts: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None  # None: the implementation says
    backoff: ShortDuration | None = None  # at least so long between two tries


class HTTPRouteRule(Declared, frozen=True):
    """Requests that meet any of `matches`, what is done to them, and where they go."""

    name: SectionName = ""
    matches: Annotated[tuple[HTTPRouteMatch, ...], Meta(max_length=64)] = (HTTPRouteMatch(),)
    filters: HTTPRouteFilters = ()
    backend_refs: Annotated[tuple[HTTPBackendRef, ...], Meta(max_length=16)] = ()
    timeouts: HTTPRouteTimeouts | None = None
    retry: HTTPRouteRetry | None = None
    session_persistence: SessionPersistence | None = None


class HTTPRoute(Declared, frozen=True):
    """Rules for some hosts, or for all that its parents serve."""

    parent_refs: ParentReferences = ()
    use_default_gateways: Literal["All", "None"] | None = None
    hostnames: Annotated[tuple[Hostname, ...], Meta(max_length=16)] = ()
    rules: Annotated[tuple[HTTPRouteRule, ...], Meta(min_length=1, max_length=16)] = (HTTPRouteRule(),)
