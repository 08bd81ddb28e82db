"""Kubernetes' small core kinds: services, endpoints, nodes, namespaces, accounts, configuration.

Specs hold what stands beside ``metadata`` in the object; for kinds with a ``spec``, what stands in it.
Source: kubernetes/api core/v1/types.go and discovery/v1/types.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from pilotpy.model.message import Int32, Message, Part

Transport = Literal["TCP", "UDP", "SCTP"]


class KubeService(Message, frozen=True):
    """Service: a selector of Pods behind one or more addresses."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    ports: tuple[KubeServicePort, ...] = ()
    selector: Mapping[str, str] = {}  # empty: endpoints are written by somebody else
    cluster_ip: str = msgspec.field(default="", name="clusterIP")  # "": to be assigned; "None": headless
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")  # the first is cluster_ip
    ip_families: tuple[Literal["IPv4", "IPv6"], ...] = ()
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = None
    external_name: str = ""
    external_ips: tuple[str, ...] = msgspec.field(default=(), name="externalIPs")
    load_balancer_ip: str = msgspec.field(default="", name="loadBalancerIP")
    load_balancer_class: str | None = None
    load_balancer_source_ranges: tuple[str, ...] = ()
    allocate_load_balancer_node_ports: bool | None = None
    session_affinity: Literal["None", "ClientIP"] = "None"
    session_affinity_config: SessionAffinityConfig | None = None
    external_traffic_policy: Literal["", "Cluster", "Local"] = ""
    internal_traffic_policy: Literal["Cluster", "Local"] | None = None
    traffic_distribution: str | None = None  # "PreferClose", "PreferSameZone", "PreferSameNode"
    publish_not_ready_addresses: bool = False
    health_check_node_port: Int32 = 0
    status: KubeServiceStatus | None = None  # stands beside the spec in the object; None: nothing is known


class KubeServiceStatus(Part, frozen=True):
    """Where a Service is to be had from outside."""

    load_balancer: LoadBalancerStatus | None = None


class LoadBalancerStatus(Part, frozen=True):
    """The load balancers in front of a Service."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


class LoadBalancerIngress(Part, frozen=True):
    """One load balancer: an address, or else a name."""

    ip: str = ""
    hostname: str = ""


class KubeServicePort(Message, frozen=True):
    """A port of a Service."""

    port: Int32
    name: str = ""
    protocol: str = "TCP"  # Transport; others are told from misspelt ones by validation
    app_protocol: str | None = None
    target_port: int | str | None = None  # None, 0 and "": port; a name: the container port called so
    node_port: Int32 = 0


class SessionAffinityConfig(Message, frozen=True):
    """How long a client stays with one endpoint."""

    client_ip: ClientIPConfig | None = msgspec.field(default=None, name="clientIP")


class ClientIPConfig(Message, frozen=True):
    """Affinity by client address."""

    timeout_seconds: Int32 | None = None


class KubeEndpoints(Message, frozen=True):
    """Endpoints: the older form of EndpointSlice."""

    subsets: tuple[EndpointSubset, ...] = ()


class EndpointSubset(Message, frozen=True):
    """Addresses that all have the same ports."""

    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class EndpointAddress(Message, frozen=True):
    """One address."""

    ip: str
    hostname: str = ""
    node_name: str | None = None
    target_ref: ObjectReference | None = None


class EndpointPort(Message, frozen=True):
    """A port on which endpoints listen; in an EndpointSlice every field may be missing."""

    name: str | None = None  # the service port's name
    port: Int32 | None = None
    protocol: str | None = None  # None: TCP
    app_protocol: str | None = None


class ObjectReference(Message, frozen=True):
    """Names another object."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    resource_version: str = ""
    field_path: str = ""


class EndpointSlice(Message, frozen=True):
    """Some of a service's endpoints; label ``kubernetes.io/service-name`` says of which."""

    address_type: Literal["", "IPv4", "IPv6", "FQDN"] = ""  # "": its author forgot it
    endpoints: tuple[SliceEndpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class SliceEndpoint(Message, frozen=True):
    """One endpoint; its addresses are interchangeable."""

    addresses: tuple[str, ...]
    conditions: EndpointConditions | None = None
    hostname: str | None = None
    target_ref: ObjectReference | None = None
    node_name: str | None = None
    zone: str | None = None
    hints: EndpointHints | None = None
    deprecated_topology: Mapping[str, str] = {}


class EndpointConditions(Message, frozen=True):
    """The state of an endpoint; None is unknown."""

    ready: bool | None = None  # None counts as ready
    serving: bool | None = None  # as ready, but also while terminating
    terminating: bool | None = None


class EndpointHints(Message, frozen=True):
    """Who had better use an endpoint."""

    for_zones: tuple[ForZone, ...] = ()
    for_nodes: tuple[ForNode, ...] = ()


class ForZone(Message, frozen=True):
    """A zone of a hint."""

    name: str


class ForNode(Message, frozen=True):
    """A node of a hint."""

    name: str


class Node(Part, frozen=True):
    """Node: where Pods run. Its locality stands in its labels."""

    provider_id: str = msgspec.field(default="", name="providerID")
    unschedulable: bool = False
    status: NodeStatus | None = None  # stands beside the spec in the object; None: nothing is known


class NodeStatus(Part, frozen=True):
    """Where a Node is to be had."""

    addresses: tuple[NodeAddress, ...] = ()


class NodeAddress(Part, frozen=True):
    """One address of a Node, or a name of it."""

    type: str  # "InternalIP", "ExternalIP", "Hostname", ...
    address: str


class Namespace(Part, frozen=True):
    """Namespace: all that a mesh reads of it is its metadata."""


class ServiceAccount(Message, frozen=True):
    """ServiceAccount: the identity of Pods."""

    secrets: tuple[ObjectReference, ...] = ()
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    automount_service_account_token: bool | None = None


class LocalObjectReference(Message, frozen=True):
    """Names another object of the same namespace."""

    name: str = ""


class ConfigMap(Message, frozen=True):
    """ConfigMap: named texts."""

    data: Mapping[str, str] = {}
    binary_data: Mapping[str, bytes] = {}  # base64 in JSON
    immutable: bool | None = None


class Secret(Message, frozen=True):
    """Secret: named bytes."""

    type: str = ""
    data: Mapping[str, bytes] = {}  # base64 in JSON
    string_data: Mapping[str, str] = {}  # as data, written as text; wins
    immutable: bool | None = None

    def __repr__(self) -> str:
        """Return the names of what is in it, and nothing of what it holds."""
        return f"Secret(type={self.type!r}, keys={sorted({*self.data, *self.string_data})})"
