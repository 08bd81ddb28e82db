"""Telemetry: traces, metrics and access logs of workloads.

Source: istio/api telemetry/v1alpha1/telemetry.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pilotpy.model.message import Choice, Duration, Message
from pilotpy.model.selector import PolicyTargetReference, WorkloadSelector

WorkloadMode = Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"]
IstioMetric = Literal[
    "ALL_METRICS",
    "REQUEST_COUNT",
    "REQUEST_DURATION",
    "REQUEST_SIZE",
    "RESPONSE_SIZE",
    "TCP_OPENED_CONNECTIONS",
    "TCP_CLOSED_CONNECTIONS",
    "TCP_SENT_BYTES",
    "TCP_RECEIVED_BYTES",
    "GRPC_REQUEST_MESSAGES",
    "GRPC_RESPONSE_MESSAGES",
]
Operation = Literal["UPSERT", "REMOVE"]


class Telemetry(Message, frozen=True):
    """What the selected workloads report."""

    selector: WorkloadSelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: tuple[PolicyTargetReference, ...] = ()
    tracing: tuple[Tracing, ...] = ()
    metrics: tuple[Metrics, ...] = ()
    access_logging: tuple[AccessLogging, ...] = ()


class Tracing(Message, frozen=True):
    """How traces are made."""

    match: TracingSelector | None = None
    providers: tuple[ProviderRef, ...] = ()
    random_sampling_percentage: float | None = None
    disable_span_reporting: bool | None = None
    custom_tags: Mapping[str, CustomTag] = {}
    use_request_id_for_trace_sampling: bool | None = None
    enable_istio_tags: bool | None = None
    disable_context_propagation: bool | None = None


class TracingSelector(Message, frozen=True):
    """Which direction of traffic."""

    mode: WorkloadMode = "CLIENT_AND_SERVER"


class CustomTag(Choice, frozen=True):
    """The value of a tag on spans, from one of several places."""

    exclusive = (("literal", "environment", "header", "formatter"),)

    literal: LiteralTag | None = None
    environment: EnvironmentTag | None = None
    header: HeaderTag | None = None
    formatter: FormatterTag | None = None


class LiteralTag(Message, frozen=True):
    """A fixed value."""

    value: str = ""  # required


class EnvironmentTag(Message, frozen=True):
    """From an environment variable."""

    name: str = ""  # required
    default_value: str = ""


class HeaderTag(Message, frozen=True):
    """From a header of the request."""

    name: str = ""  # required
    default_value: str = ""


class FormatterTag(Message, frozen=True):
    """From Envoy's format strings."""

    value: str = ""  # required


class ProviderRef(Message, frozen=True):
    """A provider of the mesh configuration, by name."""

    name: str = ""  # required


class Metrics(Message, frozen=True):
    """Providers of metrics and changes to them."""

    providers: tuple[ProviderRef, ...] = ()
    overrides: tuple[MetricsOverrides, ...] = ()
    reporting_interval: Duration | None = None


class MetricSelector(Choice, frozen=True):
    """Which metric, in which direction."""

    exclusive = (("metric", "custom_metric"),)

    metric: IstioMetric | None = None
    custom_metric: str | None = None
    mode: WorkloadMode = "CLIENT_AND_SERVER"


class MetricsOverrides(Message, frozen=True):
    """A change to a metric."""

    match: MetricSelector | None = None
    disabled: bool | None = None
    tag_overrides: Mapping[str, TagOverride] = {}


class TagOverride(Message, frozen=True):
    """A change to a tag of a metric."""

    operation: Operation = "UPSERT"
    value: str = ""


class AccessLogging(Message, frozen=True):
    """Providers of access logs, and which requests are logged."""

    match: LogSelector | None = None
    providers: tuple[ProviderRef, ...] = ()
    disabled: bool | None = None
    filter: Filter | None = None


class LogSelector(Message, frozen=True):
    """Which direction of traffic."""

    mode: WorkloadMode = "CLIENT_AND_SERVER"


class Filter(Message, frozen=True):
    """A condition in CEL."""

    expression: str = ""
