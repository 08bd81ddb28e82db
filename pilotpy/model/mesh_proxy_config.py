"""MeshConfig's defaultConfig: how a proxy is started and reached, with istiod's defaults.

Source: istio/api mesh/v1alpha1/proxy.proto; defaults from istio/istio pkg/config/mesh/mesh.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pilotpy.model.destination_rule import ClientTLSSettings, TcpKeepalive
from pilotpy.model.message import Choice, Duration, Int32, Int64, Message, UInt32
from pilotpy.model.proxy_config import ProxyImage
from pilotpy.model.workload_group import ReadinessProbe

AuthenticationPolicy = Literal["NONE", "MUTUAL_TLS", "INHERIT"]
TraceContext = Literal["UNSPECIFIED", "W3C_TRACE_CONTEXT", "GRPC_BIN", "CLOUD_TRACE_CONTEXT", "B3"]
ForwardClientCertDetails = Literal[
    "UNDEFINED",
    "SANITIZE",
    "FORWARD_ONLY",
    "APPEND_FORWARD",
    "SANITIZE_SET",
    "ALWAYS_FORWARD_ONLY",
]
TracingServiceName = Literal["APP_LABEL_AND_NAMESPACE", "CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE"]
InboundInterceptionMode = Literal["REDIRECT", "TPROXY", "NONE"]
MetadataExchangeMode = Literal["UNDEFINED", "IN_MESH"]
Profile = Literal["SIDECAR", "EDGE"]
HeadersWithUnderscoresAction = Literal[
    "HEADERS_WITH_UNDERSCORES_UNSPECIFIED",
    "HEADERS_WITH_UNDERSCORES_ALLOW",
    "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST",
    "HEADERS_WITH_UNDERSCORES_DROP_HEADER",
]
PathWithEscapedSlashesAction = Literal[
    "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED",
    "KEEP_UNCHANGED",
    "REJECT_REQUEST",
    "UNESCAPE_AND_REDIRECT",
    "UNESCAPE_AND_FORWARD",
]


class ProxyConfig(Message, frozen=True):
    """How a proxy is started."""

    config_path: str = "./etc/istio/proxy"
    binary_path: str = "/usr/local/bin/envoy"
    service_cluster: str = "istio-proxy"
    tracing_service_name: TracingServiceName | None = None  # excludes service_cluster
    drain_duration: Duration = Duration(seconds=45)
    discovery_address: str = "istiod.istio-system.svc:15012"
    discovery_refresh_delay: Duration | None = None  # deprecated
    zipkin_address: str = ""  # deprecated
    statsd_udp_address: str = ""
    envoy_metrics_service_address: str = ""  # deprecated
    proxy_admin_port: Int32 = 15000
    availability_zone: str = ""  # deprecated
    control_plane_auth_policy: AuthenticationPolicy = "MUTUAL_TLS"
    custom_config_file: str = ""
    stat_name_length: Int32 = 189
    concurrency: Int32 | None = None
    proxy_bootstrap_template_path: str = ""
    interception_mode: InboundInterceptionMode = "REDIRECT"
    tracing: Tracing | None = None
    sds: SDS | None = None  # deprecated
    envoy_access_log_service: RemoteService | None = None
    envoy_metrics_service: RemoteService | None = None
    proxy_metadata: Mapping[str, str] = {}
    runtime_values: Mapping[str, str] = {}
    status_port: Int32 = 15020
    extra_stat_tags: tuple[str, ...] = ()
    gateway_topology: Topology | None = None
    termination_drain_duration: Duration = Duration(seconds=5)
    mesh_id: str = ""
    readiness_probe: ReadinessProbe | None = None
    proxy_stats_matcher: ProxyStatsMatcher | None = None
    hold_application_until_proxy_starts: bool | None = None
    ca_certificates_pem: tuple[str, ...] = ()
    image: ProxyImage | None = None
    private_key_provider: PrivateKeyProvider | None = None
    proxy_headers: ProxyHeaders | None = None
    file_flush_interval: Duration | None = None
    file_flush_min_size_kb: UInt32 = 0
    stats_compression: bool | None = None
    connection_settings: ConnectionSettings | None = None


class Tracing(Choice, frozen=True):
    """How a proxy traces (older than Telemetry and extension providers)."""

    exclusive = (("zipkin", "lightstep", "datadog", "stackdriver", "open_census_agent"),)

    zipkin: Zipkin | None = None
    lightstep: Lightstep | None = None
    datadog: Datadog | None = None
    stackdriver: Stackdriver | None = None
    open_census_agent: OpenCensusAgent | None = None
    custom_tags: Mapping[str, CustomTag] = {}
    max_path_tag_length: UInt32 = 0
    sampling: float = 0.0  # percent of requests
    tls_settings: ClientTLSSettings | None = None
    enable_istio_tags: bool | None = None


class Zipkin(Message, frozen=True):
    """A Zipkin collector."""

    address: str = ""


class Lightstep(Message, frozen=True):
    """A Lightstep satellite."""

    address: str = ""
    access_token: str = ""


class Datadog(Message, frozen=True):
    """A Datadog agent."""

    address: str = ""


class Stackdriver(Message, frozen=True):
    """Google Cloud's tracing."""

    debug: bool = False
    max_number_of_attributes: Int64 | None = None
    max_number_of_annotations: Int64 | None = None
    max_number_of_message_events: Int64 | None = None


class OpenCensusAgent(Message, frozen=True):
    """An OpenCensus agent."""

    address: str = ""
    context: tuple[TraceContext, ...] = ()


class CustomTag(Choice, frozen=True):
    """The value of a tag on spans, from one of several places."""

    exclusive = (("literal", "environment", "header"),)

    literal: LiteralTag | None = None
    environment: EnvironmentTag | None = None
    header: HeaderTag | None = None


class LiteralTag(Message, frozen=True):
    """A fixed value."""

    value: str = ""


class EnvironmentTag(Message, frozen=True):
    """From an environment variable."""

    name: str = ""
    default_value: str = ""


class HeaderTag(Message, frozen=True):
    """From a header of the request."""

    name: str = ""
    default_value: str = ""


class SDS(Message, frozen=True):
    """No longer of any effect."""

    enabled: bool = False
    k8s_sa_jwt_path: str = ""


class Topology(Message, frozen=True):
    """What stands before a gateway."""

    num_trusted_proxies: UInt32 = 0
    forward_client_cert_details: ForwardClientCertDetails = "UNDEFINED"
    proxy_protocol: ProxyProtocolConfiguration | None = None


class ProxyProtocolConfiguration(Message, frozen=True):
    """Expects the PROXY protocol."""


class PrivateKeyProvider(Choice, frozen=True):
    """Hardware that speeds TLS up."""

    exclusive = (("cryptomb", "qat"),)

    cryptomb: CryptoMb | None = None
    qat: QAT | None = None


class CryptoMb(Message, frozen=True):
    """Intel's CryptoMB."""

    poll_delay: Duration | None = None
    fallback: bool | None = None


class QAT(Message, frozen=True):
    """Intel's QuickAssist."""

    poll_delay: Duration | None = None
    fallback: bool | None = None


class ProxyStatsMatcher(Message, frozen=True):
    """Which statistics Envoy keeps beside the default ones."""

    inclusion_prefixes: tuple[str, ...] = ()
    inclusion_suffixes: tuple[str, ...] = ()
    inclusion_regexps: tuple[str, ...] = ()


class ProxyHeaders(Message, frozen=True):
    """Headers that a proxy adds."""

    forwarded_client_cert: ForwardClientCertDetails = "UNDEFINED"
    set_current_client_cert_details: SetCurrentClientCertDetails | None = None
    request_id: RequestId | None = None
    server: Server | None = None
    attempt_count: AttemptCount | None = None
    envoy_debug_headers: EnvoyDebugHeaders | None = None
    metadata_exchange_headers: MetadataExchangeHeaders | None = None
    preserve_http1_header_case: bool | None = None
    x_forwarded_host: XForwardedHost | None = None
    x_forwarded_port: XForwardedPort | None = None


class Server(Message, frozen=True):
    """The server header."""

    disabled: bool | None = None
    value: str = ""


class RequestId(Message, frozen=True):
    """x-request-id."""

    disabled: bool | None = None


class AttemptCount(Message, frozen=True):
    """x-envoy-attempt-count."""

    disabled: bool | None = None


class XForwardedHost(Message, frozen=True):
    """x-forwarded-host."""

    enabled: bool | None = None


class XForwardedPort(Message, frozen=True):
    """x-forwarded-port."""

    enabled: bool | None = None


class EnvoyDebugHeaders(Message, frozen=True):
    """x-envoy-* for debugging."""

    disabled: bool | None = None


class MetadataExchangeHeaders(Message, frozen=True):
    """x-envoy-peer-metadata."""

    mode: MetadataExchangeMode = "UNDEFINED"


class SetCurrentClientCertDetails(Message, frozen=True):
    """What x-forwarded-client-cert tells."""

    subject: bool | None = None
    cert: bool | None = None
    chain: bool | None = None
    dns: bool | None = None
    uri: bool | None = None


class ConnectionSettings(Message, frozen=True):
    """Limits and timeouts of downstream connections."""

    profile: Profile = "SIDECAR"
    listener_per_connection_buffer_limit_bytes: Int32 | None = None
    cluster_per_connection_buffer_limit_bytes: Int32 | None = None
    http_idle_timeout: Duration | None = None
    http_max_connection_duration: Duration | None = None
    http_drain_timeout: Duration | None = None
    http_request_timeout: Duration | None = None
    http_request_headers_timeout: Duration | None = None
    http_stream_idle_timeout: Duration | None = None
    http_max_stream_duration: Duration | None = None
    http_max_concurrent_streams: Int32 | None = None
    http2_initial_stream_window_size: Int32 | None = None
    http2_initial_connection_window_size: Int32 | None = None
    http_headers_with_underscores_action: HeadersWithUnderscoresAction = "HEADERS_WITH_UNDERSCORES_UNSPECIFIED"
    http_merge_slashes: bool | None = None
    http_path_with_escaped_slashes_action: PathWithEscapedSlashesAction = "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED"
    listener_connection_limit: Int32 | None = None
    global_downstream_connection_limit: Int32 | None = None


class RemoteService(Message, frozen=True):
    """A service for metrics or access logs."""

    address: str = ""
    tls_settings: ClientTLSSettings | None = None
    tcp_keepalive: TcpKeepalive | None = None
