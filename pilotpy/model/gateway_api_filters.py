"""What routes of the Gateway API do to requests beside sending them on; HTTPRoute and GRPCRoute share most of it.

Of a filter, the field that its type names is set, and no other; the same holds for path modifiers.

Source: kubernetes-sigs/gateway-api apis/v1/httproute_types.go and grpcroute_types.go.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from pilotpy.model.gateway_api_names import HeaderName, HeaderValue, PortNumber, PreciseHostname
from pilotpy.model.gateway_api_references import BackendObjectReference, LocalObjectReference
from pilotpy.model.message import Declared

PathText = Annotated[str, Meta(max_length=1024)]
HeaderNames = Annotated[tuple[HeaderName, ...], Meta(max_length=64)]
Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class HTTPHeader(Declared, frozen=True):
    """A header and what it says."""

    name: HeaderName
    value: HeaderValue


Headers = Annotated[tuple[HTTPHeader, ...], Meta(max_length=16)]


class HTTPHeaderFilter(Declared, frozen=True):
    """Changes to headers."""

    set: Headers = ()
    add: Headers = ()
    remove: Annotated[tuple[str, ...], Meta(max_length=16)] = ()


class Fraction(Declared, frozen=True):
    """A share, as a fraction."""

    numerator: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    denominator: Positive = 100


class HTTPRequestMirrorFilter(Declared, frozen=True):
    """A copy of requests, of all of them unless a share is given; nobody waits for its answer."""

    exclusive = (("percent", "fraction"),)

    backend_ref: BackendObjectReference
    percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    fraction: Fraction | None = None


class HTTPPathModifier(Declared, frozen=True):
    """What becomes of a path."""

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]
    replace_full_path: PathText | None = None
    replace_prefix_match: PathText | None = None  # replaces what a PathPrefix matched; "" is "/"


class HTTPRequestRedirectFilter(Declared, frozen=True):
    """An answer that sends the client elsewhere; what is not set stays as it was in the request."""

    scheme: Literal["http", "https"] | None = None
    hostname: PreciseHostname = ""
    path: HTTPPathModifier | None = None
    port: PortNumber | None = None  # None: the scheme's own, or without one the listener's
    status_code: Literal[301, 302, 303, 307, 308] = 302


class HTTPURLRewriteFilter(Declared, frozen=True):
    """What becomes of host and path before the request is sent on."""

    hostname: PreciseHostname = ""
    path: HTTPPathModifier | None = None


Origin = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=r"(^\*\Z)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)\Z)",
        description="an origin such as https://shop.example.com or https://*.example.com, or *",
    ),
]
CORSMethod = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"]


class HTTPCORSFilter(Declared, frozen=True):
    """Cross-origin resource sharing; in lists, * stands alone."""

    allow_origins: Annotated[tuple[Origin, ...], Meta(max_length=64)] = ()
    allow_credentials: bool = False
    allow_methods: Annotated[tuple[CORSMethod, ...], Meta(max_length=9)] = ()
    allow_headers: HeaderNames = ()
    expose_headers: HeaderNames = ()
    max_age: Positive = 5  # seconds that a preflight counts


class GRPCAuthConfig(Declared, frozen=True):
    """What an authorizer that speaks Envoy's protocol is told."""

    allowed_headers: Annotated[tuple[str, ...], Meta(max_length=64)] = ()


AuthPath = Annotated[
    str,
    Meta(
        max_length=1024,
        pattern=r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+\Z",
        description="a path such as /check",
    ),
]


class HTTPAuthConfig(Declared, frozen=True):
    """What an authorizer that speaks HTTP is asked, and what of its answer is passed on."""

    path: AuthPath = ""  # comes before the request's path
    allowed_headers: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    allowed_response_headers: Annotated[tuple[str, ...], Meta(max_length=64)] = ()


class ForwardBodyConfig(Declared, frozen=True):
    """How much of a request's body an authorizer gets."""

    max_size: Annotated[int, Meta(ge=0, le=65535)] = 0  # bytes; 0: nothing


class HTTPExternalAuthFilter(Declared, frozen=True):
    """Somebody who is asked whether a request may pass."""

    protocol: Literal["HTTP", "GRPC"]
    backend_ref: BackendObjectReference
    grpc: GRPCAuthConfig | None = None
    http: HTTPAuthConfig | None = None
    forward_body: ForwardBodyConfig | None = None


class GRPCRouteFilter(Declared, frozen=True):
    """One thing that is done to calls."""

    type: Literal["RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "ExtensionRef"]
    request_header_modifier: HTTPHeaderFilter | None = None
    response_header_modifier: HTTPHeaderFilter | None = None
    request_mirror: HTTPRequestMirrorFilter | None = None
    extension_ref: LocalObjectReference | None = None


class HTTPRouteFilter(Declared, frozen=True):
    """One thing that is done to requests."""

    type: Literal[
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestMirror",
        "RequestRedirect",
        "URLRewrite",
        "ExtensionRef",
        "CORS",
        "ExternalAuth",
    ]
    request_header_modifier: HTTPHeaderFilter | None = None
    response_header_modifier: HTTPHeaderFilter | None = None
    request_mirror: HTTPRequestMirrorFilter | None = None
    request_redirect: HTTPRequestRedirectFilter | None = None
    url_rewrite: HTTPURLRewriteFilter | None = None
    cors: HTTPCORSFilter | None = None
    external_auth: HTTPExternalAuthFilter | None = None
    extension_ref: LocalObjectReference | None = None


HTTPRouteFilters = Annotated[tuple[HTTPRouteFilter, ...], Meta(max_length=16)]
GRPCRouteFilters = Annotated[tuple[GRPCRouteFilter, ...], Meta(max_length=16)]
