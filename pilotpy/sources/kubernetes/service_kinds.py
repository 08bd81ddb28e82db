"""Services and what is behind them: from their JSON, with the fields that a mesh reads, to what others know.

Source  kubernetes/api core/v1/types.go, discovery/v1/types.go.
"""

from __future__ import annotations

from sys import intern
from typing import Final, Literal

import msgspec

from pilotpy.model import kubernetes as k8s
from pilotpy.sources.kubernetes.wire import Metadata, Wire

Family = Literal["IPv4", "IPv6"]


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


class Service(Wire, frozen=True):
    """A Service."""

    metadata: Metadata
    spec: _ServiceSpec = _ServiceSpec()
    status: _ServiceStatus = _ServiceStatus()

    def payload(self) -> k8s.KubeService:
        """The same as others know it."""
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


class EndpointSlice(Wire, frozen=True):
    """Some of what is behind a Service."""

    metadata: Metadata
    address_type: Literal["IPv4", "IPv6", "FQDN"]
    endpoints: tuple[_SliceEndpoint, ...] | None = None
    ports: tuple[_Port, ...] | None = None

    def payload(self) -> k8s.EndpointSlice:
        """The same as others know it."""
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


class Endpoints(Wire, frozen=True):
    """All that is behind a Service, in the older form."""

    metadata: Metadata
    subsets: tuple[_Subset, ...] | None = None

    def payload(self) -> k8s.KubeEndpoints:
        """The same as others know it."""
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
