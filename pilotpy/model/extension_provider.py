"""MeshConfig's extensionProviders: systems that authorize, trace and log for the mesh.

Source: istio/api mesh/v1alpha1/config.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from pilotpy.model.message import Choice, Duration, Int32, Int64, Message, UInt32

TraceContextOption = Literal["USE_B3", "USE_B3_WITH_W3C_PROPAGATION"]
TraceContext = Literal["UNSPECIFIED", "W3C_TRACE_CONTEXT", "GRPC_BIN", "CLOUD_TRACE_CONTEXT", "B3"]
ServiceAttributeEnrichment = Literal["ISTIO_CANONICAL", "OTEL_SEMANTIC_CONVENTIONS"]


class ExtensionProvider(Choice, frozen=True):
    """A named provider, one of many kinds."""

    exclusive = (
        (
            "envoy_ext_authz_http",
            "envoy_ext_authz_grpc",
            "zipkin",
            "lightstep",
            "datadog",
            "stackdriver",
            "opencensus",
            "skywalking",
            "opentelemetry",
            "prometheus",
            "envoy_file_access_log",
            "envoy_http_als",
            "envoy_tcp_als",
            "envoy_otel_als",
            "sds",
        ),
    )

    name: str = ""
    envoy_ext_authz_http: EnvoyExternalAuthorizationHttpProvider | None = None
    envoy_ext_authz_grpc: EnvoyExternalAuthorizationGrpcProvider | None = None
    zipkin: ZipkinTracingProvider | None = None
    lightstep: LightstepTracingProvider | None = None  # deprecated
    datadog: DatadogTracingProvider | None = None
    stackdriver: StackdriverProvider | None = None
    opencensus: OpenCensusAgentTracingProvider | None = None  # deprecated
    skywalking: SkyWalkingTracingProvider | None = None
    opentelemetry: OpenTelemetryTracingProvider | None = None
    prometheus: PrometheusMetricsProvider | None = None
    envoy_file_access_log: EnvoyFileAccessLogProvider | None = None
    envoy_http_als: EnvoyHttpGrpcV3LogProvider | None = None
    envoy_tcp_als: EnvoyTcpGrpcV3LogProvider | None = None
    envoy_otel_als: EnvoyOpenTelemetryLogProvider | None = None
    sds: SDSProvider | None = None


class EnvoyExternalAuthorizationRequestBody(Message, frozen=True):
    """How much of the body is sent to be checked."""

    max_request_bytes: UInt32 = 0
    allow_partial_message: bool = False
    pack_as_bytes: bool = False


class EnvoyExternalAuthorizationHttpProvider(Message, frozen=True):
    """An authorization service asked over HTTP."""

    service: str = ""
    port: UInt32 = 0
    timeout: Duration | None = None
    path_prefix: str = ""
    fail_open: bool = False
    clear_route_cache: bool = False
    status_on_error: str = ""
    include_headers_in_check: tuple[str, ...] = ()  # deprecated
    include_request_headers_in_check: tuple[str, ...] = ()
    include_additional_headers_in_check: Mapping[str, str] = {}
    include_request_body_in_check: EnvoyExternalAuthorizationRequestBody | None = None
    headers_to_upstream_on_allow: tuple[str, ...] = ()
    headers_to_downstream_on_deny: tuple[str, ...] = ()
    headers_to_downstream_on_allow: tuple[str, ...] = ()


class EnvoyExternalAuthorizationGrpcProvider(Message, frozen=True):
    """An authorization service asked over gRPC."""

    service: str = ""
    port: UInt32 = 0
    timeout: Duration | None = None
    fail_open: bool = False
    clear_route_cache: bool = False
    status_on_error: str = ""
    include_request_body_in_check: EnvoyExternalAuthorizationRequestBody | None = None


class ZipkinTracingProvider(Message, frozen=True):
    """Traces to Zipkin."""

    service: str = ""
    port: UInt32 = 0
    max_tag_length: UInt32 = 0
    enable_64bit_trace_id: bool = msgspec.field(default=False, name="enable64bitTraceId")
    path: str = ""
    trace_context_option: TraceContextOption = "USE_B3"
    timeout: Duration | None = None
    headers: tuple[HttpHeader, ...] = ()


class LightstepTracingProvider(Message, frozen=True):
    """Traces to Lightstep."""

    service: str = ""
    port: UInt32 = 0
    access_token: str = ""
    max_tag_length: UInt32 = 0


class DatadogTracingProvider(Message, frozen=True):
    """Traces to Datadog."""

    service: str = ""
    port: UInt32 = 0
    max_tag_length: UInt32 = 0


class SkyWalkingTracingProvider(Message, frozen=True):
    """Traces to SkyWalking."""

    service: str = ""
    port: UInt32 = 0
    access_token: str = ""


class StackdriverProvider(Message, frozen=True):
    """Traces and logs to Google Cloud."""

    debug: bool = False  # deprecated
    max_number_of_attributes: Int64 | None = None  # deprecated
    max_number_of_annotations: Int64 | None = None  # deprecated
    max_number_of_message_events: Int64 | None = None  # deprecated
    max_tag_length: UInt32 = 0
    logging: Logging | None = None


class Logging(Message, frozen=True):
    """Labels of log entries."""

    labels: Mapping[str, str] = {}


class OpenCensusAgentTracingProvider(Message, frozen=True):
    """Traces to an OpenCensus agent."""

    service: str = ""
    port: UInt32 = 0
    context: tuple[TraceContext, ...] = ()
    max_tag_length: UInt32 = 0


class PrometheusMetricsProvider(Message, frozen=True):
    """Metrics scraped by Prometheus."""


class EnvoyFileAccessLogProvider(Message, frozen=True):
    """Access logs in a file."""

    path: str = ""
    log_format: FileLogFormat | None = None
    omit_empty_values: bool = False


class FileLogFormat(Choice, frozen=True):
    """Text or JSON."""

    exclusive = (("text", "labels"),)

    text: str | None = None
    labels: Mapping[str, Any] | None = None


class EnvoyHttpGrpcV3LogProvider(Message, frozen=True):
    """Access logs of HTTP over gRPC."""

    service: str = ""
    port: UInt32 = 0
    log_name: str = ""
    filter_state_objects_to_log: tuple[str, ...] = ()
    additional_request_headers_to_log: tuple[str, ...] = ()
    additional_response_headers_to_log: tuple[str, ...] = ()
    additional_response_trailers_to_log: tuple[str, ...] = ()


class EnvoyTcpGrpcV3LogProvider(Message, frozen=True):
    """Access logs of TCP over gRPC."""

    service: str = ""
    port: UInt32 = 0
    log_name: str = ""
    filter_state_objects_to_log: tuple[str, ...] = ()


class EnvoyOpenTelemetryLogProvider(Message, frozen=True):
    """Access logs to OpenTelemetry."""

    service: str = ""
    port: UInt32 = 0
    log_name: str = ""
    log_format: OpenTelemetryLogFormat | None = None


class OpenTelemetryLogFormat(Message, frozen=True):
    """Body and attributes of a log record."""

    text: str = ""
    labels: Mapping[str, Any] | None = None


class OpenTelemetryTracingProvider(Message, frozen=True):
    """Traces to OpenTelemetry."""

    service: str = ""
    port: UInt32 = 0
    max_tag_length: UInt32 = 0
    http: HttpService | None = None
    grpc: GrpcService | None = None
    resource_detectors: ResourceDetectors | None = None
    service_attribute_enrichment: ServiceAttributeEnrichment = "ISTIO_CANONICAL"
    dynatrace_sampler: DynatraceSampler | None = None


class DynatraceSampler(Message, frozen=True):
    """Dynatrace's sampler."""

    tenant: str = ""
    cluster_id: Int32 = 0
    root_spans_per_minute: UInt32 = 0
    http_service: DynatraceApi | None = None


class DynatraceApi(Message, frozen=True):
    """Where the sampler learns its rates."""

    service: str = ""
    port: UInt32 = 0
    http: HttpService | None = None


class SDSProvider(Message, frozen=True):
    """Secrets from a service."""

    name: str = ""
    service: str = ""
    port: UInt32 = 0


class HttpService(Message, frozen=True):
    """How a service is asked over HTTP."""

    path: str = ""
    timeout: Duration | None = None
    headers: tuple[HttpHeader, ...] = ()


class HttpHeader(Choice, frozen=True):
    """A header, its value given or from the environment."""

    exclusive = (("value", "env_name"),)

    name: str = ""
    value: str | None = None
    env_name: str | None = None


class ResourceDetectors(Message, frozen=True):
    """Attributes that are found out."""

    environment: EnvironmentResourceDetector | None = None
    dynatrace: DynatraceResourceDetector | None = None


class EnvironmentResourceDetector(Message, frozen=True):
    """Attributes from the environment."""


class DynatraceResourceDetector(Message, frozen=True):
    """Attributes from Dynatrace's files."""


class GrpcService(Message, frozen=True):
    """How a service is asked over gRPC."""

    timeout: Duration | None = None
    initial_metadata: tuple[HttpHeader, ...] = ()


DEFAULT_PROVIDERS = (
    ExtensionProvider(name="prometheus", prometheus=PrometheusMetricsProvider()),
    ExtensionProvider(name="stackdriver", stackdriver=StackdriverProvider()),
    ExtensionProvider(name="envoy", envoy_file_access_log=EnvoyFileAccessLogProvider(path="/dev/stdout")),
)
"""Always there; what a mesh configuration says of the same name replaces them."""
