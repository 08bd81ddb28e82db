"""DestinationRule: what happens to traffic after routing, per host, subset and port.

Source: istio/api networking/v1alpha3/destination_rule.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from pilotpy.model.message import Choice, Duration, Int32, Message, UInt32, UInt64
from pilotpy.model.selector import WorkloadSelector
from pilotpy.model.virtual_service import PortSelector

ProxyProtocolVersion = Literal["V1", "V2"]
SimpleLB = Literal["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"]
H2UpgradePolicy = Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]
ClientTLSMode = Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]


class DestinationRule(Message, frozen=True):
    """Policies for a host and its subsets."""

    host: str = ""  # required
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[str, ...] = ()  # empty: the mesh default; names, ".", "*"
    workload_selector: WorkloadSelector | None = None


class TrafficPolicy(Message, frozen=True):
    """Policies for all ports, and for some."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    port_level_settings: tuple[PortTrafficPolicy, ...] = ()
    tunnel: TunnelSettings | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None


class PortTrafficPolicy(Message, frozen=True):
    """One port's policies; they replace those for all ports."""

    port: PortSelector | None = None
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None


class TunnelSettings(Message, frozen=True):
    """Tunnels TCP through the destination, as a forward proxy."""

    protocol: str = ""
    target_host: str = ""  # required
    target_port: UInt32 = 0  # required


class ProxyProtocol(Message, frozen=True):
    """Sends the PROXY protocol first."""

    version: ProxyProtocolVersion = "V1"


class RetryBudget(Message, frozen=True):
    """Retries allowed at a time, in proportion to requests."""

    percent: float | None = None
    min_retry_concurrency: UInt32 = 0
    budget_interval: Duration | None = None


class Subset(Message, frozen=True):
    """The endpoints of a host that have some labels."""

    name: str = ""  # required
    labels: Mapping[str, str] = {}
    traffic_policy: TrafficPolicy | None = None


class LoadBalancerSettings(Choice, frozen=True):
    """How one of the endpoints is chosen."""

    exclusive = (("simple", "consistent_hash"),)

    simple: SimpleLB | None = None
    consistent_hash: ConsistentHashLB | None = None
    locality_lb_setting: LocalityLoadBalancerSetting | None = None
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None
    warmup_duration_secs: Duration | None = None
    warmup: WarmupConfiguration | None = None


class ConsistentHashLB(Choice, frozen=True):
    """Chooses by a hash of the request."""

    exclusive = (
        ("http_header_name", "http_cookie", "use_source_ip", "http_query_parameter_name"),
        ("ring_hash", "maglev"),
    )

    http_header_name: str | None = None
    http_cookie: HTTPCookie | None = None
    use_source_ip: bool | None = None
    http_query_parameter_name: str | None = None
    ring_hash: RingHash | None = None
    maglev: MagLev | None = None
    minimum_ring_size: UInt64 = 0  # deprecated


class RingHash(Message, frozen=True):
    """The hash ring of Ketama."""

    minimum_ring_size: UInt64 = 0


class MagLev(Message, frozen=True):
    """Google's Maglev table."""

    table_size: UInt64 = 0


class HTTPCookie(Message, frozen=True):
    """A cookie to hash by, made if missing."""

    name: str = ""  # required
    path: str = ""
    ttl: Duration | None = None
    attributes: tuple[Attribute, ...] = ()


class Attribute(Message, frozen=True):
    """An attribute of a cookie that is made."""

    name: str = ""  # required
    value: str = ""


class WarmupConfiguration(Message, frozen=True):
    """How new endpoints get their share little by little."""

    duration: Duration | None = None  # required
    minimum_percent: float | None = None
    aggression: float | None = None


class ConnectionPoolSettings(Message, frozen=True):
    """Limits on connections and requests."""

    tcp: TCPSettings | None = None
    http: HTTPSettings | None = None


class TCPSettings(Message, frozen=True):
    """Limits for every kind of connection."""

    max_connections: Int32 = 0
    connect_timeout: Duration | None = None
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: Duration | None = None
    idle_timeout: Duration | None = None


class TcpKeepalive(Message, frozen=True):
    """When TCP keepalive probes are sent."""

    probes: UInt32 = 0  # 0: the operating system's
    time: Duration | None = None
    interval: Duration | None = None


class HTTPSettings(Message, frozen=True):
    """Limits for HTTP connections."""

    http1_max_pending_requests: Int32 = 0
    http2_max_requests: Int32 = 0
    max_requests_per_connection: Int32 = 0
    max_retries: Int32 = 0
    idle_timeout: Duration | None = None
    h2_upgrade_policy: H2UpgradePolicy = "DEFAULT"
    use_client_protocol: bool = False
    max_concurrent_streams: Int32 = 0
    http2_keep_alive: ConnectionKeepalive | None = None


class ConnectionKeepalive(Message, frozen=True):
    """HTTP/2 pings on idle connections."""

    interval: Duration | None = None
    timeout: Duration | None = None


class OutlierDetection(Message, frozen=True):
    """When a failing endpoint is left out for a while."""

    consecutive_errors: Int32 = 0  # deprecated
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: UInt32 | None = None
    consecutive_gateway_errors: UInt32 | None = None
    consecutive_5xx_errors: UInt32 | None = msgspec.field(default=None, name="consecutive5xxErrors")
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: Int32 = 0  # 0: the default, 10
    min_health_percent: Int32 = 0
    outlier_detection_http_error_codes: tuple[UInt32, ...] = ()


class ClientTLSSettings(Message, frozen=True):
    """How connections to the destination are secured."""

    mode: ClientTLSMode = "DISABLE"
    client_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    credential_name: str = ""
    subject_alt_names: tuple[str, ...] = ()
    sni: str = ""
    insecure_skip_verify: bool | None = None
    ca_crl: str = ""


class LocalityLoadBalancerSetting(Message, frozen=True):
    """How localities share the traffic."""

    distribute: tuple[Distribute, ...] = ()
    failover: tuple[Failover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    enabled: bool | None = None  # None: enabled


class Distribute(Message, frozen=True):
    """Where the traffic of one locality goes."""

    from_: str = ""
    to: Mapping[str, UInt32] = {}  # percents by locality, 100 in all


class Failover(Message, frozen=True):
    """Which region takes over for another."""

    from_: str = ""
    to: str = ""


class ZoneAwareLoadBalancerSetting(Message, frozen=True):
    """Zone-aware load balancing: stay in the zone as far as it can carry the load."""

    enabled: bool | None = None
    failover: tuple[Failover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    min_cluster_size: UInt64 | None = None
