"""From a Pod and the Services of the mesh to what the lab runs for it.

Pure. Annotations that are read: ``lab.pilotpy.dev/command`` (what to run instead of the echo application),
``sidecar.istio.io/inject``, ``sidecar.istio.io/interceptionMode`` and ``traffic.sidecar.istio.io/*``.

Source  istio/istio ``manifests/charts/istio-control/istio-discovery/files/injection-template.yaml`` for what an
        injected pod's capture is; Kubernetes' downward API for the environment.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import timedelta

import msgspec

from pilotpy.agent.bootstrap import Address, Start
from pilotpy.agent.node import interception_mode, node_of_pod, pod_addresses
from pilotpy.agent.rules import ALL, Capture, Mode
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Ref, Resource
from pilotpy.sources.injection import has_sidecar

COMMAND = "lab.pilotpy.dev/command"
ENVOY_USER = 1337
MARK = 1336
"""On what an Envoy sends, where there is but one user and so none to tell it by."""

_OWN_PORTS = ("15090", "15021", "15020")
_DEFAULT_PORT = 8080
_DRAIN = timedelta(seconds=5)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All that runs for one Pod."""

    ref: Ref
    address: str
    command: tuple[str, ...]  # of the application; empty: the echo application
    identity: Mapping[str, object]  # what the echo application says of itself
    environment: Mapping[str, str]
    ports: tuple[int, ...]  # TCP ports on which it takes connections once it is ready; sorted, not empty
    grace: timedelta  # how long it may take to end
    restarts: bool  # the application is started again when it ends well; else only when it ends badly
    start: Start | None  # of its Envoy; None: it has no sidecar
    capture: Capture | None  # None: nothing goes through Envoy by itself
    note: str = ""  # what is not as the Pod asks

    @property
    def name(self) -> str:
        """As people call it: "NAME.NAMESPACE"."""
        return f"{self.ref.name}.{self.ref.namespace}"

    def differs_in_ports_only(self, other: Plan) -> bool:
        """Whether an echo application that listens on more or fewer ports is all the difference."""
        same_ports = msgspec.structs.replace(other, ports=self.ports)
        return not self.command and self.ports != other.ports and self == same_ports


def plan(pod: Resource[Pod], services: Iterable[Resource[KubeService]], discovery: Address, *, marked: bool) -> Plan:
    """What to run for a Pod with an address. ``marked``: Envoy has no user of its own, its packets are marked."""
    command = tuple(shlex.split(pod.meta.annotations.get(COMMAND, "")))
    sidecar = has_sidecar(pod)
    mode = interception_mode(pod)
    node = node_of_pod(pod, istio=False)
    note = ""
    if mode == Mode.TPROXY.value and marked:
        # A packet has one mark, and under TPROXY that says which way it goes, not whose it is.
        mode = Mode.REDIRECT.value
        node.metadata["INTERCEPTION_MODE"] = mode
        note = "TPROXY needs a user for Envoy: captured by REDIRECT here, by TPROXY where the lab runs as root"
    seconds = pod.spec.termination_grace_period_seconds
    return Plan(
        ref=pod.ref,
        address=pod_addresses(pod)[0],
        command=command,
        identity=_identity(pod),
        environment=_environment(pod),
        ports=_container_ports(pod) or (_DEFAULT_PORT,) if command else _echo_ports(pod, services),
        grace=timedelta(seconds=30 if seconds is None else seconds),
        restarts=pod.spec.restart_policy == "Always",
        start=Start(
            node=node,
            discovery=discovery,
            agent_port=None,
            mark=MARK if marked else 0,
            max_connections=50_000,
            statistics=("cluster.outbound", "cluster.inbound", "http.", "listener."),
        )
        if sidecar
        else None,
        capture=_capture(pod, mode, marked=marked) if sidecar else None,
        note=note if sidecar else "",
    )


def drain_time(grace: timedelta) -> timedelta:
    """How long connections that are open may stay so when a pod ends: Istio's 5 s, within the pod's own grace."""
    return min(_DRAIN, grace)


def _capture(pod: Resource[Pod], mode: str, *, marked: bool) -> Capture | None:
    if mode not in Mode.__members__:
        return None
    annotations = pod.meta.annotations

    def items(name: str, default: str = "") -> tuple[str, ...]:
        text = annotations.get(f"traffic.sidecar.istio.io/{name}", default)
        return tuple(item.strip() for item in text.split(",") if item.strip())

    capture = Capture(
        mode=Mode(mode),
        leave_marked=True,
        inbound_ports=items("includeInboundPorts", ALL),
        inbound_ports_excluded=(*_OWN_PORTS, *items("excludeInboundPorts")),
        outbound_ranges=items("includeOutboundIPRanges", ALL),
        outbound_ranges_excluded=items("excludeOutboundIPRanges"),
        outbound_ports=items("includeOutboundPorts"),
        outbound_ports_excluded=items("excludeOutboundPorts"),
        interfaces_excluded=items("excludeInterfaces"),
    )
    return msgspec.structs.replace(capture, uids=(), gids=(), marks=(MARK,)) if marked else capture


def _container_ports(pod: Resource[Pod]) -> tuple[int, ...]:
    ports = {
        port.container_port
        for container in pod.spec.containers
        for port in container.ports
        if port.protocol == "TCP" and 0 < port.container_port < 2**16
    }
    return tuple(sorted(ports))


def _echo_ports(pod: Resource[Pod], services: Iterable[Resource[KubeService]]) -> tuple[int, ...]:
    """Container ports and what Services expect behind them; ports by name that no container has lead nowhere."""
    numbers = {port.name: port.container_port for container in pod.spec.containers for port in container.ports}
    found = set(_container_ports(pod))
    for service in services:
        selector = service.spec.selector
        if service.meta.namespace == pod.meta.namespace and selector and selector.items() <= pod.meta.labels.items():
            for port in service.spec.ports:
                target = port.target_port or port.port
                number = numbers.get(target, 0) if isinstance(target, str) else target
                if port.protocol == "TCP" and number:
                    found.add(number)
    return tuple(sorted(found)) or (_DEFAULT_PORT,)


def _identity(pod: Resource[Pod]) -> dict[str, object]:
    return {
        "pod": pod.meta.name,
        "namespace": pod.meta.namespace,
        "version": pod.meta.labels.get("version", ""),
        "labels": dict(sorted(pod.meta.labels.items())),
        "serviceAccount": _service_account(pod),
        "address": pod_addresses(pod)[0],
    }


def _environment(pod: Resource[Pod]) -> dict[str, str]:
    """What the first container with variables asks for, before it what any application may want to know."""
    found = {
        "POD_NAME": pod.meta.name,
        "POD_NAMESPACE": pod.meta.namespace,
        "POD_IP": pod_addresses(pod)[0],
        "SERVICE_ACCOUNT": _service_account(pod),
    }
    for container in pod.spec.containers[:1]:
        for variable in container.env:
            source = variable.value_from
            if source is None:
                found[variable.name] = variable.value
            elif source.field_ref is not None:
                found[variable.name] = _field(pod, source.field_ref.field_path)
    return found


def _field(pod: Resource[Pod], path: str) -> str:
    """A field of the Pod as the downward API gives it; empty where there is none."""
    keyed = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if keyed:
        mapping = pod.meta.labels if keyed[1] == "labels" else pod.meta.annotations
        return mapping.get(keyed[2], "")
    fields = {
        "metadata.name": pod.meta.name,
        "metadata.namespace": pod.meta.namespace,
        "spec.serviceAccountName": _service_account(pod),
        "spec.nodeName": pod.spec.node_name,
        "status.podIP": pod_addresses(pod)[0],
        "status.hostIP": pod.spec.status.host_ip,
    }
    return fields.get(path, "")


def _service_account(pod: Resource[Pod]) -> str:
    return pod.spec.service_account_name or pod.spec.service_account or "default"
