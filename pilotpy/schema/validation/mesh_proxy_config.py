"""MeshConfig's defaultConfig: settings that Istio admits.

Source: istio/istio pkg/config/validation/agent/validation.go, ValidateMeshConfigProxyConfig.
"""

from __future__ import annotations

from datetime import timedelta

from pilotpy.model.mesh_proxy_config import ConnectionSettings, PrivateKeyProvider, ProxyConfig, Tracing
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import names, values
from pilotpy.schema.validation.tls import client_tls

_HOST = "$(HOST_IP)"  # filled in by the proxy
_SMALLEST_WINDOW = 65535


def proxy_settings(config: ProxyConfig, at: str) -> Problems:
    """What is wrong with the settings of proxies."""
    for field, text in (
        ("configPath", config.config_path),
        ("binaryPath", config.binary_path),
        ("serviceCluster", config.service_cluster or config.tracing_service_name),
    ):
        if not text:
            yield Problem(f"{at}.{field}", f"The {field} may not be empty")
    yield from values.duration(config.drain_duration, f"{at}.drainDuration")
    if config.drain_duration % timedelta(seconds=1):
        yield Problem(f"{at}.drainDuration", "The time is in whole seconds")
    yield from names.host_and_port(config.discovery_address, f"{at}.discoveryAddress")
    yield from _addresses(config, at)
    if "ISTIO_META_DNS_AUTO_ALLOCATE" in config.proxy_metadata:
        message = "ISTIO_META_DNS_AUTO_ALLOCATE is deprecated"
        yield warning(f"{at}.proxyMetadata.ISTIO_META_DNS_AUTO_ALLOCATE", message, "Take it out")
    yield from names.port(config.proxy_admin_port, f"{at}.proxyAdminPort")
    yield from names.port(config.status_port, f"{at}.statusPort")
    if config.control_plane_auth_policy == "INHERIT":
        yield Problem(f"{at}.controlPlaneAuthPolicy", "There is nothing to inherit from")
    if config.tracing:
        yield from _tracing(config.tracing, f"{at}.tracing")
    if config.private_key_provider:
        yield from _private_keys(config.private_key_provider, f"{at}.privateKeyProvider")
    if config.connection_settings:
        yield from _connections(config.connection_settings, f"{at}.connectionSettings")


def _addresses(config: ProxyConfig, at: str) -> Problems:
    metrics, logs = config.envoy_metrics_service, config.envoy_access_log_service
    for field, address in (
        ("statsdUdpAddress", config.statsd_udp_address),
        ("envoyMetricsServiceAddress", config.envoy_metrics_service_address),
        ("envoyMetricsService.address", metrics.address if metrics else ""),
        ("envoyAccessLogService.address", logs.address if logs else ""),
    ):
        if address:
            yield from names.host_and_port(address, f"{at}.{field}")


def _tracing(tracing: Tracing, at: str) -> Problems:
    for field, tracer in (("zipkin", tracing.zipkin), ("datadog", tracing.datadog), ("lightstep", tracing.lightstep)):
        if tracer:
            yield from names.host_and_port(tracer.address.replace(_HOST, "127.0.0.1", 1), f"{at}.{field}.address")
    if tracing.lightstep and not tracing.lightstep.access_token:
        yield Problem(f"{at}.lightstep.accessToken", "The token is missing")
    yield from client_tls(tracing.tls_settings, f"{at}.tlsSettings", "")


def _private_keys(provider: PrivateKeyProvider, at: str) -> Problems:
    chosen = provider.cryptomb or provider.qat
    field = "cryptomb" if provider.cryptomb else "qat"
    if chosen is None:
        yield Problem(at, "One of cryptomb and qat is needed")
    elif not chosen.poll_delay:
        yield Problem(f"{at}.{field}.pollDelay", "A delay above 0 is needed")


def _connections(settings: ConnectionSettings, at: str) -> Problems:
    zero, one = timedelta(0), 1
    for field, value, least in (
        ("listenerPerConnectionBufferLimitBytes", settings.listener_per_connection_buffer_limit_bytes, 0),
        ("clusterPerConnectionBufferLimitBytes", settings.cluster_per_connection_buffer_limit_bytes, 0),
        ("httpMaxConcurrentStreams", settings.http_max_concurrent_streams, one),
        ("http2InitialStreamWindowSize", settings.http2_initial_stream_window_size, _SMALLEST_WINDOW),
        ("http2InitialConnectionWindowSize", settings.http2_initial_connection_window_size, _SMALLEST_WINDOW),
        ("listenerConnectionLimit", settings.listener_connection_limit, one),
        ("globalDownstreamConnectionLimit", settings.global_downstream_connection_limit, one),
    ):
        if value is not None and value < least:
            yield Problem(f"{at}.{field}", f"{value} is below {least}", f"Write {least} at least")
    for field, span in (
        ("httpIdleTimeout", settings.http_idle_timeout),
        ("httpMaxConnectionDuration", settings.http_max_connection_duration),
        ("httpDrainTimeout", settings.http_drain_timeout),
        ("httpRequestTimeout", settings.http_request_timeout),
        ("httpRequestHeadersTimeout", settings.http_request_headers_timeout),
        ("httpStreamIdleTimeout", settings.http_stream_idle_timeout),
        ("httpMaxStreamDuration", settings.http_max_stream_duration),
    ):
        if span is not None and span < zero:
            yield Problem(f"{at}.{field}", "A duration may not be negative")
