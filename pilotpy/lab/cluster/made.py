"""What a lab makes at an API server: Pods, ReplicaSets of Deployments, slices of Services; and how Pods are.

Pure: bodies for server-side apply, and for merging into a status. Source: kubernetes/api core/v1/types.go (PodStatus),
pkg/controller/deployment/sync.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from pilotpy.lab.cluster.objects import Held, Object, metadata
from pilotpy.lab.network import GATEWAY
from pilotpy.model.kubernetes import EndpointSlice
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Ref, Resource
from pilotpy.sources.workloads import revision

HASH: Final = "pod-template-hash"
REVISION: Final = "deployment.kubernetes.io/revision"
_NUMBERED: Final = ("hostname", "subdomain")  # what a StatefulSet adds to its template


def pod(one: Resource[Pod], template: Object, node: str) -> Object:
    """A Pod of a workload, by the workload's template as it was written."""
    account = one.spec.service_account_name or one.spec.service_account or "default"
    spec = dict(template.get("spec") or {}) | {"nodeName": node, "serviceAccountName": account}
    spec |= {name: text for name in _NUMBERED if (text := getattr(one.spec, name))}
    written = metadata(one.meta)
    # All of the template's annotations, a mesh's or not.
    annotations = ((template.get("metadata") or {}).get("annotations") or {}) | written["annotations"]
    return {"metadata": written | {"annotations": annotations}, "spec": spec}


def pod_status(one: Resource[Pod], begun: datetime, restarts: int, images: Mapping[str, str]) -> Object:
    """How a Pod is. `images`: of its containers, by name."""
    status = one.spec.status
    ready = is_ready(one)
    started = stamp(begun)
    conditions = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
    return {
        "phase": status.phase,
        "hostIP": GATEWAY,
        "hostIPs": [{"ip": GATEWAY}],
        "podIP": status.pod_ip,
        "podIPs": [{"ip": each.ip} for each in status.pod_ips],
        "startTime": started,
        "conditions": [{"type": name, "status": str(so)} for name, so in conditions.items()],
        "containerStatuses": _containers(images, restarts, {"running": {"startedAt": started}}, ready=ready),
    }


def pod_ended(begun: datetime, ended: datetime, restarts: int, images: Mapping[str, str]) -> Object:
    """How a Pod is whose application came to its end, well."""
    state = {"exitCode": 0, "reason": "Completed", "startedAt": stamp(begun), "finishedAt": stamp(ended)}
    conditions = {"PodScheduled": "True", "Initialized": "True", "ContainersReady": "False", "Ready": "False"}
    return {
        "phase": "Succeeded",
        "conditions": [{"type": name, "status": so, "reason": "PodCompleted"} for name, so in conditions.items()],
        "containerStatuses": _containers(images, restarts, {"terminated": state}, ready=False),
    }


def _containers(images: Mapping[str, str], restarts: int, state: Object, *, ready: bool) -> list[Object]:
    return [
        {
            "name": name,
            "image": image,
            "imageID": "",
            "ready": ready,
            "started": ready,
            "restartCount": restarts,
            "state": state,
        }
        for name, image in images.items()
    ]


def is_ready(one: Resource[Pod]) -> bool:
    """Whether a Pod takes requests."""
    return any(each.type == "Ready" and each.status == "True" for each in one.spec.status.conditions)


def images(spec: Object) -> dict[str, str]:
    """The images of a Pod's containers, by the containers' names."""
    return {str(one["name"]): str(one.get("image", "")) for one in spec.get("containers") or ()}


def endpoint_slice(one: Resource[EndpointSlice]) -> Object:
    """A slice as it is written."""
    body: Object = msgspec.to_builtins(one.spec)
    return {"metadata": metadata(one.meta)} | body


def replica_set(deployment: Resource[Held], number: int) -> tuple[Ref, Object]:
    """The ReplicaSet of a Deployment's template; the Pods are made without it, but belong to it."""
    hashed = revision(deployment.spec.payload.template)
    ref = Ref("ReplicaSet", deployment.ref.namespace, f"{deployment.ref.name}-{hashed}")
    written = deployment.spec.spec
    template, selector = dict(written["template"]), dict(written["selector"])
    about = dict(template.get("metadata") or {})
    about = {key: value for key, value in about.items() if key in {"labels", "annotations"} and value}
    about["labels"] = (about.get("labels") or {}) | {HASH: hashed}
    selector["matchLabels"] = (selector.get("matchLabels") or {}) | {HASH: hashed}
    return ref, {
        "metadata": {
            "namespace": ref.namespace,
            "name": ref.name,
            "labels": about["labels"],
            "annotations": {REVISION: str(number)},
        },
        "spec": {
            "replicas": written.get("replicas", 1),
            "selector": selector,
            "template": template | {"metadata": about},
        },
    }


def stamp(moment: datetime) -> str:
    """A time of day as the API has it, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def counts_as(body: Any) -> bytes:
    """What two writes have in common that say the same."""
    return msgspec.json.encode(body, order="deterministic")
