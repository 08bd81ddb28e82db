"""Pod: containers that share one address; and the template that workloads make Pods from.

Only what a mesh reads is listed. Source: kubernetes/api core/v1/types.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from pilotpy.model.kubernetes import Transport
from pilotpy.model.message import Int32, Part

Quantity = str | int | float
"""An amount as written: "100m", "1Gi", 2."""


class PodSpec(Part, frozen=True):
    """What is wanted of a Pod."""

    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()  # with restart_policy "Always": sidecars
    volumes: tuple[Volume, ...] = ()
    service_account_name: str = ""  # "": "default"
    service_account: str = ""  # older name of service_account_name
    node_name: str = ""
    node_selector: Mapping[str, str] = {}
    hostname: str = ""  # with subdomain: the Pod has a DNS name of its own
    subdomain: str = ""
    host_network: bool = False
    host_aliases: tuple[HostAlias, ...] = ()
    dns_policy: str = ""
    dns_config: PodDNSConfig | None = None
    restart_policy: Literal["Always", "OnFailure", "Never"] = "Always"
    termination_grace_period_seconds: int | None = None  # None: 30
    security_context: PodSecurityContext | None = None
    image_pull_secrets: tuple[ImagePullSecret, ...] = ()


class Container(Part, frozen=True):
    """One program of a Pod."""

    name: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    ports: tuple[ContainerPort, ...] = ()
    env: tuple[EnvVar, ...] = ()
    resources: ResourceRequirements | None = None
    volume_mounts: tuple[VolumeMount, ...] = ()
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    security_context: SecurityContext | None = None
    restart_policy: str | None = None


class ContainerPort(Part, frozen=True):
    """A port that a container listens on."""

    container_port: Int32
    name: str = ""
    protocol: Transport = "TCP"
    host_port: Int32 = 0


class EnvVar(Part, frozen=True):
    """An environment variable."""

    name: str
    value: str = ""
    value_from: EnvVarSource | None = None


class EnvVarSource(Part, frozen=True):
    """A value that is found elsewhere."""

    field_ref: FieldRef | None = None


class FieldRef(Part, frozen=True):
    """A field of the Pod itself: "metadata.name"."""

    field_path: str


class ResourceRequirements(Part, frozen=True):
    """What a container is given, by resource: "cpu", "memory"."""

    limits: Mapping[str, Quantity] = {}
    requests: Mapping[str, Quantity] = {}


class VolumeMount(Part, frozen=True):
    """Where a volume appears in a container."""

    name: str
    mount_path: str
    read_only: bool = False
    sub_path: str = ""


class Volume(Part, frozen=True):
    """A directory for the containers."""

    name: str


class Probe(Part, frozen=True):
    """A check of a container, every `period_seconds`; 0 stands for Kubernetes' default."""

    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    exec: ExecAction | None = None
    grpc: GRPCAction | None = None
    initial_delay_seconds: Int32 = 0
    timeout_seconds: Int32 = 0
    period_seconds: Int32 = 0
    success_threshold: Int32 = 0
    failure_threshold: Int32 = 0


class HTTPGetAction(Part, frozen=True):
    """A GET that must answer 200 to 399."""

    port: int | str  # a number, or the name of a container port
    path: str = ""
    host: str = ""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    http_headers: tuple[ProbeHeader, ...] = ()


class ProbeHeader(Part, frozen=True):
    """A header of a probe."""

    name: str
    value: str = ""


class TCPSocketAction(Part, frozen=True):
    """A connection that must open."""

    port: int | str
    host: str = ""


class ExecAction(Part, frozen=True):
    """A command that must exit 0."""

    command: tuple[str, ...] = ()


class GRPCAction(Part, frozen=True):
    """gRPC's health service."""

    port: Int32
    service: str | None = None


class Lifecycle(Part, frozen=True):
    """What is done after a container starts and before it stops."""

    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None


class LifecycleHandler(Part, frozen=True):
    """One of several ways to act."""

    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    sleep: SleepAction | None = None


class SleepAction(Part, frozen=True):
    """Waits."""

    seconds: int


class SecurityContext(Part, frozen=True):
    """As whom a container runs."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    privileged: bool | None = None


class PodSecurityContext(Part, frozen=True):
    """As whom all containers run."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    fs_group: int | None = None


class HostAlias(Part, frozen=True):
    """Names for an address in the Pod's hosts file."""

    ip: str
    hostnames: tuple[str, ...] = ()


class PodDNSConfig(Part, frozen=True):
    """How names resolve in a Pod."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()


class ImagePullSecret(Part, frozen=True):
    """Names a Secret."""

    name: str = ""


class PodStatus(Part, frozen=True):
    """What a Pod is now."""

    phase: Literal["", "Pending", "Running", "Succeeded", "Failed", "Unknown"] = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    pod_ips: tuple[PodIP, ...] = msgspec.field(default=(), name="podIPs")  # the first is pod_ip
    host_ip: str = msgspec.field(default="", name="hostIP")
    conditions: tuple[PodCondition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    reason: str = ""


class Pod(PodSpec, frozen=True):
    """Pod: what is wanted, and what is."""

    status: PodStatus = PodStatus()  # stands beside the spec in the object


class PodIP(Part, frozen=True):
    """One address of a Pod."""

    ip: str = ""


class PodCondition(Part, frozen=True):
    """One thing that is or is not so, such as "Ready"."""

    type: str
    status: str  # "True", "False", "Unknown"


class ContainerStatus(Part, frozen=True):
    """What a container is now."""

    name: str
    ready: bool = False
    started: bool | None = None
