"""Kubernetes' own kinds: from their JSON to resources, with the fields that a mesh reads and no others.

What differs only in other fields (a heartbeat of a Node, a condition of a Pod) reads the same, so it changes nothing.
An API server has checked these kinds better than we could: nothing is said about them.

Source  kubernetes/api core/v1/types.go, discovery/v1/types.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from sys import intern
from typing import Any, Final, Literal, cast

import msgspec

from pilotpy.model import kubernetes as k8s
from pilotpy.model import pod as pods
from pilotpy.model.resource import Resource
from pilotpy.sources.kubernetes.wire import Metadata, Named, Wire

Family = Literal["IPv4", "IPv6"]
Transport = Literal["TCP", "UDP", "SCTP"]

_CREDENTIALS: Final = ("cert", "key", "cacert", "crl", "tls.crt", "tls.key", "tls.ocsp-staple", "ca.crt", "ca.crl")
_SETTINGS: Final = ("mesh", "meshNetworks", "ca.crt")


class _ServicePort(Wire, frozen=True):
    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None
    target_port: int | str | None = None
    node_port: int = 0


class _ServiceSpec(Wire, frozen=True):
    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    ports: tuple[_ServicePort, ...] | None = None
    selector: dict[str, str] | None = None
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] | None = msgspec.field(default=None, name="clusterIPs")
    ip_families: tuple[Family, ...] | None = None
    external_name: str = ""
    internal_traffic_policy: Literal["Cluster", "Local"] | None = None
    traffic_distribution: str | None = None
    publish_not_ready_addresses: bool = False
    external_ips: tuple[str, ...] | None = msgspec.field(default=None, name="externalIPs")


class _Ingress(Wire, frozen=True):
    ip: str = ""
    hostname: str = ""


class _LoadBalancer(Wire, frozen=True):
    ingress: tuple[_Ingress, ...] | None = None


class _ServiceStatus(Wire, frozen=True):
    load_balancer: _LoadBalancer | None = None

    def model(self) -> k8s.KubeServiceStatus | None:
        ingress = (self.load_balancer and self.load_balancer.ingress) or ()
        # Of ten thousand Services a handful are seen from outside.
        if not ingress:
            return None
        ways = tuple(k8s.LoadBalancerIngress(ip=one.ip, hostname=one.hostname) for one in ingress)
        return k8s.KubeServiceStatus(load_balancer=k8s.LoadBalancerStatus(ingress=ways))


class _Service(Wire, frozen=True):
    metadata: Metadata
    spec: _ServiceSpec = _ServiceSpec()
    status: _ServiceStatus = _ServiceStatus()

    def payload(self) -> k8s.KubeService:
        spec = self.spec
        return k8s.KubeService(
            type=spec.type,
            ports=tuple(
                k8s.KubeServicePort(
                    port=one.port,
                    name=one.name,
                    protocol=one.protocol,
                    app_protocol=one.app_protocol,
                    target_port=one.target_port,
                    node_port=one.node_port,
                )
                for one in spec.ports or ()
            ),
            selector=spec.selector or {},
            cluster_ip=spec.cluster_ip,
            cluster_ips=spec.cluster_ips or (),
            ip_families=spec.ip_families or (),
            external_name=spec.external_name,
            internal_traffic_policy=spec.internal_traffic_policy,
            traffic_distribution=spec.traffic_distribution,
            publish_not_ready_addresses=spec.publish_not_ready_addresses,
            external_ips=spec.external_ips or (),
            status=self.status.model(),
        )


class _Port(Wire, frozen=True):
    name: str | None = None
    port: int | None = None
    protocol: str | None = None
    app_protocol: str | None = None

    def model(self) -> k8s.EndpointPort:
        return k8s.EndpointPort(name=self.name, port=self.port, protocol=self.protocol, app_protocol=self.app_protocol)


class _Reference(Wire, frozen=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""

    def model(self) -> k8s.ObjectReference:
        return k8s.ObjectReference(kind=self.kind, namespace=intern(self.namespace), name=self.name)


class _Conditions(Wire, frozen=True):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class _SliceEndpoint(Wire, frozen=True):
    addresses: tuple[str, ...] | None = None
    conditions: _Conditions | None = None
    hostname: str | None = None
    target_ref: _Reference | None = None
    node_name: str | None = None
    zone: str | None = None

    def model(self) -> k8s.SliceEndpoint:
        return k8s.SliceEndpoint(
            addresses=self.addresses or (),
            conditions=_CONDITIONS.get(self.conditions) if self.conditions else None,
            hostname=self.hostname,
            target_ref=self.target_ref.model() if self.target_ref else None,
            node_name=self.node_name,
            zone=self.zone,
        )


_STATES: Final = (None, True, False)
# There are but 27, so all endpoints share them.
_CONDITIONS: Final = {
    _Conditions(ready, serving, terminating): k8s.EndpointConditions(
        ready=ready, serving=serving, terminating=terminating
    )
    for ready in _STATES
    for serving in _STATES
    for terminating in _STATES
}


class _EndpointSlice(Wire, frozen=True):
    metadata: Metadata
    address_type: Literal["IPv4", "IPv6", "FQDN"]
    endpoints: tuple[_SliceEndpoint, ...] | None = None
    ports: tuple[_Port, ...] | None = None

    def payload(self) -> k8s.EndpointSlice:
        return k8s.EndpointSlice(
            address_type=self.address_type,
            endpoints=tuple(one.model() for one in self.endpoints or ()),
            ports=tuple(one.model() for one in self.ports or ()),
        )


class _Address(Wire, frozen=True):
    ip: str
    hostname: str = ""
    node_name: str | None = None
    target_ref: _Reference | None = None

    def model(self) -> k8s.EndpointAddress:
        target = self.target_ref.model() if self.target_ref else None
        return k8s.EndpointAddress(ip=self.ip, hostname=self.hostname, node_name=self.node_name, target_ref=target)


class _Subset(Wire, frozen=True):
    addresses: tuple[_Address, ...] | None = None
    not_ready_addresses: tuple[_Address, ...] | None = None
    ports: tuple[_Port, ...] | None = None


class _Endpoints(Wire, frozen=True):
    metadata: Metadata
    subsets: tuple[_Subset, ...] | None = None

    def payload(self) -> k8s.KubeEndpoints:
        return k8s.KubeEndpoints(
            subsets=tuple(
                k8s.EndpointSubset(
                    addresses=tuple(one.model() for one in subset.addresses or ()),
                    not_ready_addresses=tuple(one.model() for one in subset.not_ready_addresses or ()),
                    ports=tuple(one.model() for one in subset.ports or ()),
                )
                for subset in self.subsets or ()
            )
        )


class _ContainerPort(Wire, frozen=True):
    container_port: int
    name: str = ""
    protocol: Transport = "TCP"


class _Container(Wire, frozen=True):
    ports: tuple[_ContainerPort, ...] | None = None


class _PodSpec(Wire, frozen=True):
    containers: tuple[_Container, ...] | None = None
    service_account_name: str = ""
    service_account: str = ""
    node_name: str = ""
    hostname: str = ""
    subdomain: str = ""
    host_network: bool = False


class _PodIP(Wire, frozen=True):
    ip: str = ""


class _Condition(Wire, frozen=True):
    type: str
    status: str


class _PodStatus(Wire, frozen=True):
    phase: Literal["", "Pending", "Running", "Succeeded", "Failed", "Unknown"] = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    pod_ips: tuple[_PodIP, ...] | None = msgspec.field(default=None, name="podIPs")
    conditions: tuple[_Condition, ...] | None = None


_READY: Final = {status: (pods.PodCondition(type="Ready", status=status),) for status in ("True", "False", "Unknown")}


class _Pod(Wire, frozen=True):
    metadata: Metadata
    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()

    def payload(self) -> pods.Pod:
        spec, status = self.spec, self.status
        ready = next((one.status for one in status.conditions or () if one.type == "Ready"), "")
        return pods.Pod(
            containers=tuple(_named_ports(one) for one in spec.containers or () if one.ports),
            service_account_name=intern(spec.service_account_name or spec.service_account),
            node_name=intern(spec.node_name),
            hostname=spec.hostname,
            subdomain=spec.subdomain,
            host_network=spec.host_network,
            status=pods.PodStatus(
                phase=status.phase,
                pod_ip=status.pod_ip,
                pod_ips=tuple(pods.PodIP(ip=one.ip) for one in status.pod_ips or ()),
                conditions=_READY.get(ready, ()),
            ),
        )


def _named_ports(container: _Container) -> pods.Container:
    return pods.Container(
        ports=tuple(
            pods.ContainerPort(container_port=one.container_port, name=one.name, protocol=one.protocol)
            for one in container.ports or ()
            if one.name
        )
    )


class _NodeAddress(Wire, frozen=True):
    type: str
    address: str


class _NodeStatus(Wire, frozen=True):
    addresses: tuple[_NodeAddress, ...] | None = None


class _Node(Wire, frozen=True):
    metadata: Metadata
    status: _NodeStatus = _NodeStatus()

    def payload(self) -> k8s.Node:
        # The others are of no use outside of their network.
        external = [one for one in self.status.addresses or () if one.type == "ExternalIP"]
        addresses = tuple(k8s.NodeAddress(type=one.type, address=one.address) for one in external)
        return k8s.Node(status=k8s.NodeStatus(addresses=addresses) if addresses else None)


class _Namespace(Named, frozen=True):
    def payload(self) -> k8s.Namespace:
        return k8s.Namespace()


class _ServiceAccount(Named, frozen=True):
    def payload(self) -> k8s.ServiceAccount:
        return k8s.ServiceAccount()


class _ConfigMap(Wire, frozen=True):
    metadata: Metadata
    data: dict[str, str] | None = None
    binary_data: dict[str, bytes] | None = None

    def payload(self) -> k8s.ConfigMap:
        return k8s.ConfigMap(data=_some(self.data, _SETTINGS), binary_data=_some(self.binary_data, _SETTINGS))


class _Secret(Wire, frozen=True):
    metadata: Metadata
    type: str = ""
    data: dict[str, bytes] | None = None

    def payload(self) -> k8s.Secret:
        return k8s.Secret(type=self.type, data=_some(self.data, _CREDENTIALS))


class _WholeSecret(_Secret, frozen=True):
    def payload(self) -> k8s.Secret:
        return k8s.Secret(type=self.type, data=self.data or {})


def _some(data: dict[str, Any] | None, keys: tuple[str, ...]) -> Mapping[str, Any]:
    return {key: data[key] for key in keys if key in data} if data else {}


_WIRE: Final = {
    "Service": _Service,
    "EndpointSlice": _EndpointSlice,
    "Endpoints": _Endpoints,
    "Pod": _Pod,
    "Node": _Node,
    "Namespace": _Namespace,
    "ServiceAccount": _ServiceAccount,
    "ConfigMap": _ConfigMap,
    "Secret": _Secret,
}


def reader(kind: str, *, whole: bool = False) -> Callable[[bytes | msgspec.Raw], Resource[Any]]:
    """What reads objects of one of these kinds. It raises msgspec.DecodeError.

    `whole`: a Secret is read with all that is in it, not only with what are credentials.
    """
    wire_type = _WholeSecret if whole else _WIRE[kind]
    decode = msgspec.json.Decoder(cast("type[_Namespace]", wire_type)).decode

    def read(text: bytes | msgspec.Raw) -> Resource[Any]:
        wire = decode(text)
        return Resource(wire.metadata.ref(kind), wire.metadata.meta(), wire.payload())

    return read
