"""Sidecar: what the proxies of a workload listen on and may reach.

Source: istio/api networking/v1alpha3/sidecar.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pilotpy.model.destination_rule import ConnectionPoolSettings
from pilotpy.model.gateway import ServerTLSSettings
from pilotpy.model.message import Message, UInt32
from pilotpy.model.virtual_service import Destination

OutboundTrafficMode = Literal["REGISTRY_ONLY", "ALLOW_ANY"]
CaptureMode = Literal["DEFAULT", "IPTABLES", "NONE"]


class Sidecar(Message, frozen=True):
    """Inbound and outbound listeners of the workloads that it selects."""

    workload_selector: WorkloadSelector | None = None
    ingress: tuple[IstioIngressListener, ...] = ()
    egress: tuple[IstioEgressListener, ...] = ()
    inbound_connection_pool: ConnectionPoolSettings | None = None
    outbound_traffic_policy: OutboundTrafficPolicy | None = None


class IstioIngressListener(Message, frozen=True):
    """A port on which the workload takes traffic."""

    port: SidecarPort | None = None  # required
    bind: str = ""
    capture_mode: CaptureMode = "DEFAULT"
    default_endpoint: str = ""  # "127.0.0.1:port", "[::1]:port", "0.0.0.0:port" or "unix:///path"
    tls: ServerTLSSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None


class IstioEgressListener(Message, frozen=True):
    """Hosts that the workload may reach, perhaps on one port or socket only."""

    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: CaptureMode = "DEFAULT"
    hosts: tuple[str, ...] = ()  # "namespace/host"; namespaces ".", "*", "~", required


class WorkloadSelector(Message, frozen=True):
    """Workloads by their labels."""

    labels: Mapping[str, str] = {}


class OutboundTrafficPolicy(Message, frozen=True):
    """What happens to traffic to unknown destinations."""

    mode: OutboundTrafficMode = "REGISTRY_ONLY"
    egress_proxy: Destination | None = None


class SidecarPort(Message, frozen=True):
    """A port of a listener."""

    number: UInt32 = 0
    protocol: str = ""
    name: str = ""
    target_port: UInt32 = 0  # deprecated
