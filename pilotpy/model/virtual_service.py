"""VirtualService: how requests to hosts are routed.

Source: istio/api networking/v1alpha3/virtual_service.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pilotpy.model.message import Choice, Duration, Int32, Message, UInt32

RedirectPortSelection = Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]
UnmatchedPreflights = Literal["UNSPECIFIED", "FORWARD", "IGNORE"]


class VirtualService(Message, frozen=True):
    """The routes of some hosts; first match wins."""

    hosts: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()  # empty: the sidecars ("mesh")
    http: tuple[HTTPRoute, ...] = ()
    tls: tuple[TLSRoute, ...] = ()
    tcp: tuple[TCPRoute, ...] = ()
    export_to: tuple[str, ...] = ()  # empty: the mesh default; names, ".", "*"


class Destination(Message, frozen=True):
    """A service, perhaps narrowed to a subset, that traffic goes to."""

    host: str = ""  # short, or fully qualified, required
    subset: str = ""
    port: PortSelector | None = None


class HTTPRoute(Message, frozen=True):
    """One rule: requests that match any of `match` (all, if empty) take one action."""

    name: str = ""
    match: tuple[HTTPMatchRequest, ...] = ()
    route: tuple[HTTPRouteDestination, ...] = ()
    redirect: HTTPRedirect | None = None
    direct_response: HTTPDirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: HTTPRewrite | None = None
    timeout: Duration | None = None  # None: no timeout
    retries: HTTPRetry | None = None
    fault: HTTPFaultInjection | None = None
    mirror: Destination | None = None
    mirrors: tuple[HTTPMirrorPolicy, ...] = ()
    mirror_percent: UInt32 | None = None  # deprecated
    mirror_percentage: Percent | None = None
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None


class Delegate(Message, frozen=True):
    """The VirtualService whose rules stand in for this one."""

    name: str = ""
    namespace: str = ""


class Headers(Message, frozen=True):
    """Changes to the headers of requests and responses."""

    request: HeaderOperations | None = None
    response: HeaderOperations | None = None


class HeaderOperations(Message, frozen=True):
    """Changes to one set of headers."""

    set: Mapping[str, str] = {}
    add: Mapping[str, str] = {}
    remove: tuple[str, ...] = ()


class TLSRoute(Message, frozen=True):
    """Where TLS connections that are passed through go, by SNI."""

    match: tuple[TLSMatchAttributes, ...] = ()  # required
    route: tuple[RouteDestination, ...] = ()


class TCPRoute(Message, frozen=True):
    """Where opaque connections go."""

    match: tuple[L4MatchAttributes, ...] = ()
    route: tuple[RouteDestination, ...] = ()


class HTTPMatchRequest(Message, frozen=True):
    """Conditions on a request; all must hold."""

    name: str = ""
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: Mapping[str, StringMatch] = {}
    port: UInt32 = 0  # the service's port; 0: any
    source_labels: Mapping[str, str] = {}
    gateways: tuple[str, ...] = ()
    query_params: Mapping[str, StringMatch] = {}
    ignore_uri_case: bool = False
    without_headers: Mapping[str, StringMatch] = {}
    source_namespace: str = ""
    stat_prefix: str = ""


class HTTPRouteDestination(Message, frozen=True):
    """One of the weighted destinations of a rule."""

    destination: Destination | None = None  # required
    weight: Int32 = 0  # 0 where it stands alone: all of it
    headers: Headers | None = None


class RouteDestination(Message, frozen=True):
    """One of the weighted destinations of a TCP or TLS rule."""

    destination: Destination | None = None  # required
    weight: Int32 = 0  # 0 where it stands alone: all of it


class L4MatchAttributes(Message, frozen=True):
    """Conditions on a connection; all must hold."""

    destination_subnets: tuple[str, ...] = ()
    port: UInt32 = 0
    source_subnet: str = ""
    source_labels: Mapping[str, str] = {}
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


class TLSMatchAttributes(Message, frozen=True):
    """Conditions on a TLS connection; all must hold."""

    sni_hosts: tuple[str, ...] = ()  # required
    destination_subnets: tuple[str, ...] = ()
    port: UInt32 = 0
    source_labels: Mapping[str, str] = {}
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


class HTTPRedirect(Choice, frozen=True):
    """Answers with a redirect."""

    exclusive = (("port", "derive_port"),)

    uri: str = ""
    authority: str = ""
    port: UInt32 | None = None
    derive_port: RedirectPortSelection | None = None
    scheme: str = ""
    redirect_code: UInt32 = 0  # 0: 301
    prefix_rewrite: str = ""


class HTTPDirectResponse(Message, frozen=True):
    """Answers without asking anybody."""

    status: UInt32 = 0  # required
    body: HTTPBody | None = None


class HTTPBody(Choice, frozen=True):
    """What a direct response says."""

    exclusive = (("string", "bytes_"),)

    string: str | None = None
    bytes_: bytes | None = None


class HTTPRewrite(Message, frozen=True):
    """What becomes of path and authority before the request is sent on."""

    uri: str = ""  # replaces the prefix, or the whole path of an exact match
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


class RegexRewrite(Message, frozen=True):
    """A path rewrite by regular expression (RE2)."""

    match: str = ""
    rewrite: str = ""


class StringMatch(Choice, frozen=True):
    """A condition on a string; an empty one matches nothing."""

    exclusive = (("exact", "prefix", "regex"),)

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


class HTTPRetry(Message, frozen=True):
    """When and how often a failed request is sent again."""

    attempts: Int32 = 0  # retries, not counting the first try; 0: none
    per_try_timeout: Duration | None = None  # None: the route's timeout
    retry_on: str = ""
    retry_remote_localities: bool | None = None
    retry_ignore_previous_hosts: bool | None = None
    backoff: Duration | None = None


class CorsPolicy(Message, frozen=True):
    """Cross-origin resource sharing."""

    allow_origin: tuple[str, ...] = ()  # deprecated
    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: Duration | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: UnmatchedPreflights = "UNSPECIFIED"


class HTTPFaultInjection(Message, frozen=True):
    """Faults for a share of the requests."""

    delay: Delay | None = None
    abort: Abort | None = None


class Delay(Choice, frozen=True):
    """Holds requests back."""

    exclusive = (("fixed_delay", "exponential_delay"),)

    percent: Int32 = 0  # 0 to 100, deprecated
    fixed_delay: Duration | None = None
    exponential_delay: Duration | None = None
    percentage: Percent | None = None  # None: every request


class Abort(Choice, frozen=True):
    """Answers requests with an error."""

    exclusive = (("http_status", "grpc_status", "http2_error"),)

    http_status: Int32 | None = None
    grpc_status: str | None = None
    http2_error: str | None = None
    percentage: Percent | None = None  # None: every request


class HTTPMirrorPolicy(Message, frozen=True):
    """A copy of a share of the requests."""

    destination: Destination | None = None  # required
    percentage: Percent | None = None  # None: every request


class PortSelector(Message, frozen=True):
    """A port of a service, by number."""

    number: UInt32 = 0


class Percent(Message, frozen=True):
    """A share, 0.0 to 100.0."""

    value: float = 0.0
