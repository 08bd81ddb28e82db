"""A cluster in the making: what the features of DestinationRule write to.

Every service with the same shape and policy has the same settings; its names and metadata are added last, as bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from pilotpy.engine import Asking, query
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.service import Protocol, Resolution
from pilotpy.mesh.view import KeyFiles
from pilotpy.model.destination_rule import (
    LocalityLoadBalancerSetting,
    TcpKeepalive,
    TrafficPolicy,
    ZoneAwareLoadBalancerSetting,
)
from pilotpy.model.mesh_config import DefaultTrafficPolicy, TLSConfig
from pilotpy.model.message import Duration
from pilotpy.model.resource import Ref
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster
from pilotpy_protos.envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

LOGICAL_DNS = Cluster.DiscoveryType.LOGICAL_DNS
ORIGINAL_DST = Cluster.DiscoveryType.ORIGINAL_DST
STRICT_DNS = Cluster.DiscoveryType.STRICT_DNS
EDS = Cluster.DiscoveryType.EDS


class Dialect(NamedTuple):
    """What of a proxy's features decides over its clusters."""

    istio: bool = True
    ipv4: bool = True
    ipv6: bool = False
    files: KeyFiles | None = None  # the proxy's own certificate for mutual TLS
    keyless: bool = False  # it has none, and gets none


class Outlet(NamedTuple):
    """One cluster of a service: its port, its subset, and the DestinationRules in force."""

    rules: tuple[Ref, ...] = ()  # in order of precedence; may be empty
    port: int = 0
    subset: str = ""  # "": all endpoints


class Shape(NamedTuple):
    """What of a service's port decides over the settings of its clusters."""

    protocol: Protocol
    resolution: Resolution = Resolution.CLIENT_SIDE
    inbound: bool = False  # at the workload itself: no choice among endpoints, only limits
    traffic_distribution: str = ""  # the service's
    persistent_sessions: bool = False  # endpoints that drain are kept for the sessions that they hold


class Defaults(msgspec.Struct, frozen=True):
    """What of the mesh's settings decides over clusters."""

    connect_timeout: Duration
    dns_refresh_rate: Duration
    tcp_keepalive: TcpKeepalive | None
    traffic_policy: DefaultTrafficPolicy | None
    locality: LocalityLoadBalancerSetting
    zone_aware: ZoneAwareLoadBalancerSetting | None
    upgrades_to_http2: bool
    keeps_header_case: bool  # names of headers reach servers of HTTP/1.1 as their clients wrote them
    outbound_stat_name: str
    inbound_stat_name: str
    inbound_to_localhost: bool
    tls: TLSConfig | None  # limits on TLS that rules ask for


@query
def defaults(q: Asking) -> Defaults:
    """The settings of the mesh that clusters read: other settings may change without touching a cluster."""
    mesh = q(mesh_config)
    headers = mesh.default_config.proxy_headers
    return Defaults(
        connect_timeout=mesh.connect_timeout,
        dns_refresh_rate=mesh.dns_refresh_rate,
        tcp_keepalive=mesh.tcp_keepalive,
        traffic_policy=mesh.default_traffic_policy,
        locality=mesh.locality_lb_setting,
        zone_aware=mesh.zone_aware_lb_setting,
        upgrades_to_http2=mesh.h2_upgrade_policy == "UPGRADE",
        keeps_header_case=bool(headers and headers.preserve_http1_header_case),
        outbound_stat_name=mesh.outbound_cluster_stat_name,
        inbound_stat_name=mesh.inbound_cluster_stat_name,
        inbound_to_localhost=mesh.inbound_traffic_policy.mode == "LOCALHOST",
        tls=mesh.tls_defaults,
    )


_DISCOVERY = {Resolution.DNS: STRICT_DNS, Resolution.DNS_ROUND_ROBIN: LOGICAL_DNS, Resolution.PASSTHROUGH: ORIGINAL_DST}


def discovery(resolution: Resolution, policy: TrafficPolicy) -> Cluster.DiscoveryType:
    """How a cluster finds its endpoints."""
    if policy.load_balancer is not None and policy.load_balancer.simple == "PASSTHROUGH":
        return ORIGINAL_DST
    return _DISCOVERY.get(resolution, EDS)


@dataclass(frozen=True, slots=True)
class Draft:
    """The messages that features fill in, and what they go by."""

    shape: Shape
    policy: TrafficPolicy
    defaults: Defaults
    dialect: Dialect
    cluster: Cluster = field(default_factory=Cluster)
    http: HttpProtocolOptions = field(default_factory=HttpProtocolOptions)
