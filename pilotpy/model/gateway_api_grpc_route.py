"""GRPCRoute: where gRPC calls go.

Source: kubernetes-sigs/gateway-api apis/v1/grpcroute_types.go.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from pilotpy.model.gateway_api_filters import GRPCRouteFilters, PathText
from pilotpy.model.gateway_api_names import HeaderName, Hostname, SectionName
from pilotpy.model.gateway_api_persistence import SessionPersistence
from pilotpy.model.gateway_api_references import BackendRef, ParentReferences
from pilotpy.model.message import Declared


class GRPCMethodMatch(Declared, frozen=True):
    """A condition on what is called: a service, a method, or both."""

    type: Literal["Exact", "RegularExpression"] = "Exact"
    service: PathText = ""  # "": any
    method: PathText = ""  # "": any


class GRPCHeaderMatch(Declared, frozen=True):
    """A condition on a header; of two on one header the first counts."""

    name: HeaderName
    value: Annotated[str, Meta(min_length=1, max_length=4096)]
    type: Literal["Exact", "RegularExpression"] = "Exact"


class GRPCRouteMatch(Declared, frozen=True):
    """Conditions on a call; all must hold."""

    method: GRPCMethodMatch | None = None
    headers: Annotated[tuple[GRPCHeaderMatch, ...], Meta(max_length=16)] = ()


class GRPCBackendRef(BackendRef, frozen=True):
    """One of the weighted destinations of a rule."""

    filters: GRPCRouteFilters = ()


class GRPCRouteRule(Declared, frozen=True):
    """Calls that meet any of `matches`, or all calls, what is done to them, and where they go."""

    name: SectionName = ""
    matches: Annotated[tuple[GRPCRouteMatch, ...], Meta(max_length=64)] = ()
    filters: GRPCRouteFilters = ()
    backend_refs: Annotated[tuple[GRPCBackendRef, ...], Meta(max_length=16)] = ()
    session_persistence: SessionPersistence | None = None


class GRPCRoute(Declared, frozen=True):
    """Rules for some hosts, or for all that its parents serve."""

    parent_refs: ParentReferences = ()
    use_default_gateways: Literal["All", "None"] | None = None
    hostnames: Annotated[tuple[Hostname, ...], Meta(max_length=16)] = ()
    rules: Annotated[tuple[GRPCRouteRule, ...], Meta(max_length=16)] = ()
