"""From a Pod to the node that its proxy announces: id, cluster and metadata, as Istio's agent writes them.

Source: istio ``pkg/bootstrap/config.go`` and ``pkg/model/proxy.go``: lists are one comma-joined string, booleans are
"true" and "false", POD_PORTS is JSON in a string.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from pilotpy.model.pod import Pod
from pilotpy.model.resource import Resource

ISTIO_VERSION = "1.29.0"  # what a proxy of Istio's says here; decides which of its released shapes it is served

PRESERVE_CLIENT_ADDRESS = "PRESERVE_CLIENT_ADDRESS"
"""In the metadata of a node: the application sees its clients' addresses although REDIRECT captures. Not Istio's."""

KEYLESS = "KEYLESS"
"""In the metadata of a node: nobody hands out its certificate, so it speaks no mutual TLS. Not Istio's."""

_PRESERVE = "traffic.pilotpy.dev/preserveClientAddress"
_MODES = ("REDIRECT", "TPROXY", "NONE")


class Node(NamedTuple):
    """How a proxy introduces itself; ``metadata`` is what protobuf's Struct can hold."""

    id: str
    cluster: str
    metadata: dict[str, Any]


def node_of_pod(
    pod: Resource[Pod], *, istio: bool, domain: str = "cluster.local", cluster: str = "Kubernetes", network: str = ""
) -> Node:
    """Return the node of the sidecar of a Pod that has an address. ``istio``: it has Istio's own filters."""
    spec, meta = pod.spec, pod.meta
    addresses = pod_addresses(pod)
    metadata: dict[str, Any] = {
        "CLUSTER_ID": cluster,
        "INSTANCE_IPS": ",".join(addresses),
        "INTERCEPTION_MODE": interception_mode(pod),
        "LABELS": dict(sorted(meta.labels.items())),
        "NAME": meta.name,
        "NAMESPACE": meta.namespace,
        "SERVICE_ACCOUNT": spec.service_account_name or spec.service_account or "default",
        "WORKLOAD_NAME": workload_name(pod),
        "POD_PORTS": msgspec.json.encode(
            [
                {"name": port.name, "containerPort": port.container_port, "protocol": port.protocol}
                for container in spec.containers
                for port in container.ports
            ]
        ).decode(),
        "APP_CONTAINERS": ",".join(container.name for container in spec.containers),
        "MESH_ID": domain,
    }
    if preserves_client_address(pod):
        metadata[PRESERVE_CLIENT_ADDRESS] = "true"
    if spec.node_name:
        metadata["NODE_NAME"] = spec.node_name
    if network:
        metadata["NETWORK"] = network
    if istio:
        metadata["ISTIO_VERSION"] = ISTIO_VERSION
    app = meta.labels.get("app") or workload_name(pod)
    return Node(
        id=f"sidecar~{addresses[0]}~{meta.name}.{meta.namespace}~{meta.namespace}.svc.{domain}",
        cluster=f"{app}.{meta.namespace}",
        metadata=metadata,
    )


def pod_addresses(pod: Resource[Pod]) -> tuple[str, ...]:
    """Return the addresses of a Pod, its own first; empty while it has none."""
    status = pod.spec.status
    return tuple(dict.fromkeys(ip for ip in (status.pod_ip, *(entry.ip for entry in status.pod_ips)) if ip))


def interception_mode(pod: Resource[Pod]) -> str:
    """Return how the Pod's traffic is captured: REDIRECT unless an annotation asks for TPROXY or NONE."""
    asked = pod.meta.annotations.get("sidecar.istio.io/interceptionMode", "")
    return asked if asked in _MODES else _MODES[0]


def preserves_client_address(pod: Resource[Pod]) -> bool:
    """Return whether an annotation of ours asks that the application sees its clients' addresses under REDIRECT."""
    return pod.meta.annotations.get(_PRESERVE, "").lower() == "true"


def workload_name(pod: Resource[Pod]) -> str:
    """Return the name of what made the Pod: the Deployment's, not its ReplicaSet's; its own if nothing did."""
    for owner in pod.meta.owners:
        if owner.kind == "ReplicaSet":
            template_hash = pod.meta.labels.get("pod-template-hash", "")
            return owner.name.removesuffix(f"-{template_hash}") if template_hash else owner.name
        return owner.name
    return pod.meta.name
