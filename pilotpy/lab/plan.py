"""From a Pod and the Services of the mesh to what the lab runs for it.

Pure. Annotations that are read: ``lab.pilotpy.dev/command`` (what to run instead of the echo application),
``sidecar.istio.io/inject``, ``sidecar.istio.io/interceptionMode``, ``traffic.sidecar.istio.io/*``,
``traffic.pilotpy.dev/preserveClientAddress``, and ``proxyMetadata`` of ``proxy.istio.io/config``: the environment of
the agent and, by ``ISTIO_META_``, the metadata of its Envoy. Keys of workloads are ECDSA unless that says otherwise: an
RSA key takes a hundred times as long to make.

Source  istio/istio ``manifests/charts/istio-control/istio-discovery/files/injection-template.yaml`` for what an
        injected pod's capture is; Kubernetes' downward API for the environment.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import msgspec

from pilotpy.agent.bootstrap import Address, Start
from pilotpy.agent.node import (
    PRESERVE_CLIENT_ADDRESS,
    interception_mode,
    node_of_pod,
    pod_addresses,
    preserves_client_address,
)
from pilotpy.agent.traffic_capture import ALL, Capture, Mode
from pilotpy.lab.left_out import left_out
from pilotpy.lab.news import MeshFacts
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Ref, Resource
from pilotpy.sources.injection import has_sidecar

COMMAND = "lab.pilotpy.dev/command"
ENVOY_USER = 1337
MARK = 1336
"""On what an Envoy sends, where there is but one user and so none to tell it by."""

XDS_SOCKET, SDS_SOCKET = "XDS", "SDS"
"""Of its agent, in the folder that an Envoy is started in."""

_SERVER_NAME = "istiod.istio-system.svc"
_OWN_PORTS = ("15090", "15021", "15020")
_DEFAULT_PORT = 8080
_CONFIG = "proxy.istio.io/config"
_METADATA = "ISTIO_META_"
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
    agent: Mapping[str, str]  # environment of the agent beside its Envoy
    capture: Capture | None  # None: nothing goes through Envoy by itself
    note: str = ""  # what is not as the Pod asks

    @property
    def name(self) -> str:
        """As people call it: "NAME.NAMESPACE"."""
        return f"{self.ref.name}.{self.ref.namespace}"

    @property
    def borrows_addresses(self) -> bool:
        """Whether its Envoy opens connections under others' addresses, which takes CAP_NET_ADMIN."""
        return self.capture is not None and (self.capture.mode is Mode.TPROXY or self.capture.client_address)

    def differs_in_ports_only(self, other: Plan) -> bool:
        """Whether an echo application that listens on more or fewer ports is all the difference."""
        same_ports = msgspec.structs.replace(other, ports=self.ports)
        return not self.command and self.ports != other.ports and self == same_ports


def plan(
    pod: Resource[Pod],
    services: Iterable[Resource[KubeService]],
    mesh: MeshFacts,
    discovery: Address,
    *,
    marked: bool,
) -> Plan:
    """What to run for a Pod with an address.

    ``discovery``: where agents find the control plane. ``marked``: Envoy has no user of its own, so that its packets
    are marked.
    """
    command = tuple(shlex.split(pod.meta.annotations.get(COMMAND, "")))
    sidecar = has_sidecar(pod)
    mode = interception_mode(pod)
    node = node_of_pod(pod, istio=False)
    proxy, note = _proxy_metadata(pod, mesh)
    metadata = {name.removeprefix(_METADATA): text for name, text in proxy.items() if name.startswith(_METADATA)}
    node.metadata.update(metadata)
    preserves = preserves_client_address(pod)
    if marked and (preserves or mode == Mode.TPROXY.value):
        # A packet has one mark, and there that says which way it goes, not whose it is.
        mode = Mode.REDIRECT.value if mode == Mode.TPROXY.value else mode
        node.metadata["INTERCEPTION_MODE"] = mode
        node.metadata.pop(PRESERVE_CLIENT_ADDRESS, None)
        preserves = False
        note = "clients' addresses need a user for Envoy: captured by plain REDIRECT here, as asked for as root"
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
            discovery=Address(XDS_SOCKET),
            secrets=Address(SDS_SOCKET),
            mark=MARK if marked else 0,
            max_connections=50_000,
            statistics=("cluster.outbound", "cluster.inbound", "http.", "listener."),
        )
        if sidecar
        else None,
        agent=_agent(pod, mesh, discovery) | proxy if sidecar else {},
        capture=_capture(pod, mode, proxy, preserves=preserves, marked=marked) if sidecar else None,
        note="; ".join(filter(None, (note if sidecar else "", left_out(pod)))),
    )


def drain_time(grace: timedelta) -> timedelta:
    """How long connections that are open may stay so when a pod ends: Istio's 5 s, within the pod's own grace."""
    return min(_DRAIN, grace)


def _agent(pod: Resource[Pod], mesh: MeshFacts, discovery: Address) -> dict[str, str]:
    """The environment that an injector would give the agent, as far as it differs from what is so by default."""
    return {
        "POD_NAME": pod.meta.name,
        "POD_NAMESPACE": pod.meta.namespace,
        "SERVICE_ACCOUNT": _service_account(pod),
        "INSTANCE_IP": pod_addresses(pod)[0],
        "TRUST_DOMAIN": mesh.trust_domain,
        "PILOTPY_DISCOVERY_ADDRESS": f"{discovery.host}:{discovery.port}",
        "ISTIOD_SAN": _SERVER_NAME,
        "ECC_SIGNATURE_ALGORITHM": "ECDSA",
    }


def _proxy_metadata(pod: Resource[Pod], mesh: MeshFacts) -> tuple[dict[str, str], str]:
    """The mesh's and the Pod's own, which wins; and what of the annotation is not done."""
    text = pod.meta.annotations.get(_CONFIG, "")
    try:
        written = msgspec.yaml.decode(text, type=dict[str, Any] | None) or {}
        own = msgspec.convert(written.pop("proxyMetadata", {}), dict[str, str])
    except msgspec.MsgspecError as wrong:
        return dict(mesh.proxy_metadata), f"{_CONFIG} cannot be read: {wrong}"
    note = f"{_CONFIG}: the lab reads proxyMetadata only, not {', '.join(sorted(written))}" if written else ""
    return {**mesh.proxy_metadata, **own}, note


def _capture(
    pod: Resource[Pod], mode: str, proxy: Mapping[str, str], *, preserves: bool, marked: bool
) -> Capture | None:
    if mode not in Mode.__members__:
        return None
    annotations = pod.meta.annotations

    def items(name: str, default: str = "") -> tuple[str, ...]:
        text = annotations.get(f"traffic.sidecar.istio.io/{name}", default)
        return tuple(item.strip() for item in text.split(",") if item.strip())

    capture = Capture(
        mode=Mode(mode),
        leave_marked=True,
        client_address=preserves,
        redirect_dns=proxy.get("ISTIO_META_DNS_CAPTURE") == "true",
        all_dns=True,
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
