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
from pilotpy.sources.kubernetes.service_kinds import Endpoints, EndpointSlice, Service
from pilotpy.sources.kubernetes.wire import Metadata, Named, Wire

Transport = Literal["TCP", "UDP", "SCTP"]

_CREDENTIALS: Final = ("cert", "key", "cacert", "crl", "tls.crt", "tls.key", "tls.ocsp-staple", "ca.crt", "ca.crl")
_SETTINGS: Final = ("mesh", "meshNetworks", "ca.crt")


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
    "Service": Service,
    "EndpointSlice": EndpointSlice,
    "Endpoints": Endpoints,
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
