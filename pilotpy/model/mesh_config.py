"""MeshConfig: the settings of the whole mesh, with istiod's defaults filled in.

Source: istio/api mesh/v1alpha1/config.proto; defaults from istio/istio pkg/config/mesh/mesh.go.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from pilotpy.model.destination_rule import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    LocalityLoadBalancerSetting,
    OutlierDetection,
    TcpKeepalive,
    ZoneAwareLoadBalancerSetting,
)
from pilotpy.model.extension_provider import DEFAULT_PROVIDERS, ExtensionProvider
from pilotpy.model.label_selector import LabelSelector
from pilotpy.model.mesh_proxy_config import ProxyConfig
from pilotpy.model.message import Choice, Duration, Int32, Message
from pilotpy.model.resource import Ref
from pilotpy.model.virtual_service import HTTPRetry

MESH_CONFIG: Final = Ref("MeshConfig", "istio-system", "meshconfig")
"""The one there is, as istioctl calls it."""

IngressControllerMode = Literal["UNSPECIFIED", "OFF", "DEFAULT", "STRICT"]
AccessLogEncoding = Literal["TEXT", "JSON"]
OutboundTrafficMode = Literal["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"]
InboundTrafficMode = Literal["PASSTHROUGH", "LOCALHOST"]
H2UpgradePolicy = Literal["DO_NOT_UPGRADE", "UPGRADE"]
Scope = Literal["LOCAL", "GLOBAL"]
NormalizationType = Literal["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"]
TLSProtocol = Literal["TLS_AUTO", "TLSV1_2", "TLSV1_3"]
SubscribedResource = Literal["SERVICE_REGISTRY"]
Visibility = Literal["VISIBILITY_UNSPECIFIED", "NONE", "NAMESPACE", "PUBLIC"]


class OutboundTrafficPolicy(Message, frozen=True):
    """What happens to traffic to unknown destinations."""

    mode: OutboundTrafficMode = "REGISTRY_ONLY"
    tls: ClientTLSSettings | None = None


class InboundTrafficPolicy(Message, frozen=True):
    """Where inbound traffic is sent on to."""

    mode: InboundTrafficMode = "PASSTHROUGH"


class TrustedCertificates(Choice, frozen=True):
    """Certificates trusted beside those of our own authority."""

    exclusive = (("pem", "spiffe_bundle_url"),)

    pem: str | None = None
    spiffe_bundle_url: str | None = None
    cert_signers: tuple[str, ...] = ()
    trust_domains: tuple[str, ...] = ()


class ServiceSettings(Message, frozen=True):
    """Settings of some hosts."""

    settings: Settings | None = None
    hosts: tuple[str, ...] = ()


class Settings(Message, frozen=True):
    """Whether a service stays within its cluster."""

    cluster_local: bool = False


class ServiceScopeConfigs(Message, frozen=True):
    """Which services are shared between clusters (ambient)."""

    namespace_selector: LabelSelector | None = None
    services_selector: LabelSelector | None = None
    scope: Scope = "LOCAL"


class CA(Message, frozen=True):
    """An external certificate authority."""

    address: str = ""
    tls_settings: ClientTLSSettings | None = None
    request_timeout: Duration | None = None
    istiod_side: bool = False


class DefaultProviders(Message, frozen=True):
    """Extension providers used where a Telemetry names none."""

    tracing: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    access_logging: tuple[str, ...] = ()


class ProxyPathNormalization(Message, frozen=True):
    """How paths are normalized before they are matched."""

    normalization: NormalizationType = "DEFAULT"


class TLSConfig(Message, frozen=True):
    """Limits on TLS parameters."""

    min_protocol_version: TLSProtocol = "TLS_AUTO"
    ecdh_curves: tuple[str, ...] = ()
    cipher_suites: tuple[str, ...] = ()


class DefaultTrafficPolicy(Message, frozen=True):
    """Policies for destinations that no DestinationRule covers."""

    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None


class ServiceEntryVisibility(Message, frozen=True):
    """The most that ServiceEntries may be visible."""

    default_visibility: Visibility = "VISIBILITY_UNSPECIFIED"
    apply_to_sidecars: bool = False
    policies: tuple[Policy, ...] = ()


class Policy(Message, frozen=True):
    """Visibility of the ServiceEntries that match."""

    visibility: Visibility = "VISIBILITY_UNSPECIFIED"
    matching_rules: tuple[MatchRule, ...] = ()


class MatchRule(Message, frozen=True):
    """Which namespaces a policy is for."""

    namespace_selector: LabelSelector | None = None


class ConfigSource(Message, frozen=True):
    """Where configuration is read from over xDS."""

    address: str = ""
    tls_settings: ClientTLSSettings | None = None
    subscribed_resources: tuple[SubscribedResource, ...] = ()


class Certificate(Message, frozen=True):
    """A certificate made for a DNS name."""

    secret_name: str = ""
    dns_names: tuple[str, ...] = ()


class MeshConfig(Message, frozen=True):
    """Settings of the mesh. As an answer to no configuration at all: what istiod would do."""

    proxy_listen_port: Int32 = 15001
    proxy_inbound_listen_port: Int32 = 15006
    proxy_http_port: Int32 = 0
    connect_timeout: Duration = Duration(seconds=10)
    hbone_idle_timeout: Duration | None = None
    protocol_detection_timeout: Duration = Duration(0)
    tcp_keepalive: TcpKeepalive | None = None
    ingress_class: str = "istio"
    ingress_service: str = "istio-ingressgateway"
    ingress_controller_mode: IngressControllerMode = "STRICT"
    ingress_selector: str = ""
    enable_tracing: bool = True
    access_log_file: str = ""
    access_log_format: str = ""
    access_log_encoding: AccessLogEncoding = "TEXT"
    enable_envoy_access_log_service: bool = False
    disable_envoy_listener_log: bool = False
    default_config: ProxyConfig = ProxyConfig()
    outbound_traffic_policy: OutboundTrafficPolicy = OutboundTrafficPolicy(mode="ALLOW_ANY")
    inbound_traffic_policy: InboundTrafficPolicy = InboundTrafficPolicy()
    config_sources: tuple[ConfigSource, ...] = ()
    enable_auto_mtls: bool = True
    trust_domain: str = "cluster.local"
    trust_domain_aliases: tuple[str, ...] = ()
    ca_certificates: tuple[TrustedCertificates, ...] = ()
    default_service_export_to: tuple[str, ...] = ("*",)
    default_virtual_service_export_to: tuple[str, ...] = ("*",)
    default_destination_rule_export_to: tuple[str, ...] = ("*",)
    root_namespace: str = "istio-system"
    locality_lb_setting: LocalityLoadBalancerSetting = LocalityLoadBalancerSetting(enabled=True)
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None
    dns_refresh_rate: Duration = Duration(seconds=60)
    h2_upgrade_policy: H2UpgradePolicy = "DO_NOT_UPGRADE"
    inbound_cluster_stat_name: str = ""
    outbound_cluster_stat_name: str = ""
    certificates: tuple[Certificate, ...] = ()  # deprecated
    service_settings: tuple[ServiceSettings, ...] = ()
    service_scope_configs: tuple[ServiceScopeConfigs, ...] = ()
    enable_prometheus_merge: bool = True
    verify_certificate_at_client: bool | None = None  # deprecated
    ca: CA | None = None
    extension_providers: tuple[ExtensionProvider, ...] = DEFAULT_PROVIDERS
    default_providers: DefaultProviders = DefaultProviders()
    discovery_selectors: tuple[LabelSelector, ...] = ()
    path_normalization: ProxyPathNormalization | None = None
    default_http_retry_policy: HTTPRetry | None = None
    default_inbound_http_retry_policy: HTTPRetry | None = None
    mesh_mtls: TLSConfig | None = msgspec.field(default=None, name="meshMTLS")
    tls_defaults: TLSConfig | None = None
    default_traffic_policy: DefaultTrafficPolicy | None = None
    service_entry_visibility: ServiceEntryVisibility | None = None
