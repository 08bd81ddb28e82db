"""EnvoyFilter: patches to the compiled Envoy configuration.

Source: istio/api networking/v1alpha3/envoy_filter.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pilotpy.model.message import Choice, Int32, Message, UInt32
from pilotpy.model.selector import PolicyTargetReference
from pilotpy.model.sidecar import WorkloadSelector

ApplyTo = Literal[
    "INVALID",
    "LISTENER",
    "FILTER_CHAIN",
    "NETWORK_FILTER",
    "HTTP_FILTER",
    "ROUTE_CONFIGURATION",
    "VIRTUAL_HOST",
    "HTTP_ROUTE",
    "CLUSTER",
    "EXTENSION_CONFIG",
    "BOOTSTRAP",
    "LISTENER_FILTER",
]
PatchContext = Literal["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT"]
RouteAction = Literal["ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"]
PatchOperation = Literal[
    "INVALID",
    "MERGE",
    "ADD",
    "REMOVE",
    "INSERT_BEFORE",
    "INSERT_AFTER",
    "INSERT_FIRST",
    "REPLACE",
    "MERGE_AND_REPLACE_LIST",
]
FilterClass = Literal["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"]


class EnvoyFilter(Message, frozen=True):
    """Patches for the workloads that it selects, lowest priority first."""

    workload_selector: WorkloadSelector | None = None
    target_refs: tuple[PolicyTargetReference, ...] = ()
    config_patches: tuple[EnvoyConfigObjectPatch, ...] = ()
    priority: Int32 = 0


class ProxyMatch(Message, frozen=True):
    """A condition on the proxy."""

    proxy_version: str = ""
    metadata: Mapping[str, str] = {}


class ClusterMatch(Message, frozen=True):
    """A condition on a cluster."""

    port_number: UInt32 = 0
    service: str = ""
    subset: str = ""
    name: str = ""


class RouteConfigurationMatch(Message, frozen=True):
    """A condition on a route configuration."""

    port_number: UInt32 = 0
    port_name: str = ""
    gateway: str = ""
    vhost: VirtualHostMatch | None = None
    name: str = ""


class RouteMatch(Message, frozen=True):
    """A condition on a route."""

    name: str = ""
    action: RouteAction = "ANY"


class VirtualHostMatch(Message, frozen=True):
    """A condition on a virtual host."""

    name: str = ""
    domain_name: str = ""
    route: RouteMatch | None = None


class ListenerMatch(Message, frozen=True):
    """A condition on a listener."""

    port_number: UInt32 = 0
    port_name: str = ""
    filter_chain: FilterChainMatch | None = None
    listener_filter: str = ""
    name: str = ""


class FilterChainMatch(Message, frozen=True):
    """A condition on a filter chain."""

    name: str = ""
    sni: str = ""
    transport_protocol: str = ""
    application_protocols: str = ""
    filter: FilterMatch | None = None
    destination_port: UInt32 = 0


class FilterMatch(Message, frozen=True):
    """A condition on a network filter."""

    name: str = ""
    sub_filter: SubFilterMatch | None = None


class SubFilterMatch(Message, frozen=True):
    """A condition on an HTTP filter."""

    name: str = ""


class WaypointMatch(Message, frozen=True):
    """A condition on a waypoint's listeners."""

    port_number: UInt32 = 0
    route: WaypointRouteMatch | None = None
    filter: WaypointFilterMatch | None = None


class WaypointRouteMatch(Message, frozen=True):
    """A condition on a route of a waypoint."""

    name: str = ""


class WaypointFilterMatch(Message, frozen=True):
    """A condition on a network filter of a waypoint."""

    name: str = ""
    sub_filter: WaypointSubFilterMatch | None = None


class WaypointSubFilterMatch(Message, frozen=True):
    """A condition on an HTTP filter of a waypoint."""

    name: str = ""


class Patch(Message, frozen=True):
    """What is done to the object."""

    operation: PatchOperation = "INVALID"
    value: Mapping[str, Any] | None = None
    filter_class: FilterClass = "UNSPECIFIED"


class EnvoyConfigObjectMatch(Choice, frozen=True):
    """Where the object to patch must be."""

    exclusive = (("listener", "route_configuration", "cluster", "waypoint"),)

    context: PatchContext = "ANY"
    proxy: ProxyMatch | None = None
    listener: ListenerMatch | None = None
    route_configuration: RouteConfigurationMatch | None = None
    cluster: ClusterMatch | None = None
    waypoint: WaypointMatch | None = None


class EnvoyConfigObjectPatch(Message, frozen=True):
    """One patch and what it applies to."""

    apply_to: ApplyTo = "INVALID"
    match: EnvoyConfigObjectMatch | None = None
    patch: Patch | None = None
