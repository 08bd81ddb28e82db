"""WorkloadGroup: the template of WorkloadEntries that register themselves.

Source: istio/api networking/v1alpha3/workload_group.proto.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotpy.model.message import Choice, Int32, Message, UInt32
from pilotpy.model.workload_entry import WorkloadEntry


class WorkloadGroup(Message, frozen=True):
    """Template, and how workloads made from it are probed."""

    metadata: ObjectMeta | None = None
    template: WorkloadEntry | None = None  # required
    probe: ReadinessProbe | None = None


class ObjectMeta(Message, frozen=True):
    """Labels and annotations of the entries that are made."""

    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class ReadinessProbe(Choice, frozen=True):
    """How a proxy finds out whether its workload is healthy."""

    exclusive = (("http_get", "tcp_socket", "exec", "grpc"),)

    initial_delay_seconds: Int32 = 0
    timeout_seconds: Int32 = 0
    period_seconds: Int32 = 0
    success_threshold: Int32 = 0
    failure_threshold: Int32 = 0
    http_get: HTTPHealthCheckConfig | None = None
    tcp_socket: TCPHealthCheckConfig | None = None
    exec: ExecHealthCheckConfig | None = None
    grpc: GrpcHealthCheckConfig | None = None


class HTTPHealthCheckConfig(Message, frozen=True):
    """A GET that must answer 200 to 399."""

    path: str = ""
    port: UInt32 = 0  # required
    host: str = ""
    scheme: str = ""
    http_headers: tuple[HTTPHeader, ...] = ()


class GrpcHealthCheckConfig(Message, frozen=True):
    """gRPC's health service."""

    port: UInt32 = 0
    service: str = ""


class HTTPHeader(Message, frozen=True):
    """A header of a probe."""

    name: str = ""
    value: str = ""


class TCPHealthCheckConfig(Message, frozen=True):
    """A connection that must open."""

    host: str = ""
    port: UInt32 = 0  # required


class ExecHealthCheckConfig(Message, frozen=True):
    """A command that must exit 0."""

    command: tuple[str, ...] = ()  # required
