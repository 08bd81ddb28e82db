"""How a workload is, from the Pods that run for it: what `kubectl rollout status` and `kubectl wait` read.

Pure. Source: kubernetes pkg/controller/deployment/sync.go (calculateStatus), replicaset/replica_set_utils.go; the
controllers of StatefulSets, DaemonSets and Jobs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pilotpy.lab.cluster.made import is_ready
from pilotpy.lab.cluster.objects import Held, Object
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Resource
from pilotpy.sources.workloads import replicas, revision


def workload_status(
    workload: Resource[Held], pods: Collection[Resource[Pod]], finished: int, begun: str, now: str
) -> Object:
    """The status of a workload. `finished`: Pods that came to their end; `begun`: when the first began, of a Job."""
    held = workload.spec
    if workload.ref.kind == "Job":
        return _job(held, pods, finished, begun, now)
    current = revision(held.payload.template)
    live = [one for one in pods if one.meta.deleted is None]
    ready = sum(map(is_ready, live))
    updated = [one for one in live if current in one.meta.labels.values()]
    wanted = replicas(held.payload)
    seen = {"observedGeneration": held.generation}
    match workload.ref.kind:
        case "DaemonSet":
            return seen | {
                "desiredNumberScheduled": 1,
                "currentNumberScheduled": min(1, len(live)),
                "numberMisscheduled": 0,
                "numberReady": min(1, ready),
                "numberAvailable": min(1, ready),
                "numberUnavailable": max(0, 1 - ready),
                "updatedNumberScheduled": min(1, len(updated)),
            }
        case "StatefulSet":
            name = f"{workload.ref.name}-{current}"
            counts = {"replicas": len(live), "readyReplicas": ready, "availableReplicas": ready}
            of_revision = {"updatedReplicas": len(updated), "currentReplicas": len(updated)}
            return seen | counts | of_revision | {"currentRevision": name, "updateRevision": name}
        case "ReplicaSet":
            return seen | replica_counts(live)
    assert wanted is not None, "a Deployment wants some number"
    return (
        seen
        | {"replicas": len(live), "readyReplicas": ready, "availableReplicas": ready}
        | {"updatedReplicas": len(updated), "unavailableReplicas": max(0, wanted - ready)}
        | {"conditions": _conditions(wanted, ready, len(live), len(updated))}
    )


def replica_counts(live: Collection[Resource[Pod]]) -> Object:
    """The status of a ReplicaSet with these Pods."""
    ready = sum(map(is_ready, live))
    return {
        "replicas": len(live),
        "fullyLabeledReplicas": len(live),
        "readyReplicas": ready,
        "availableReplicas": ready,
    }


def _conditions(wanted: int, ready: int, live: int, updated: int) -> list[dict[str, Any]]:
    available = ready >= wanted
    arrived = available and live == updated == wanted
    return [
        {
            "type": "Available",
            "status": str(available),
            "reason": "MinimumReplicasAvailable" if available else "MinimumReplicasUnavailable",
        },
        {
            "type": "Progressing",
            "status": "True",
            "reason": "NewReplicaSetAvailable" if arrived else "ReplicaSetUpdated",
        },
    ]


def _job(held: Held, pods: Collection[Resource[Pod]], finished: int, begun: str, now: str) -> Object:
    wanted = replicas(held.payload) or 0
    status: Object = {"active": len(pods), "ready": sum(map(is_ready, pods)), "succeeded": finished}
    if not begun:
        return status
    status["startTime"] = begun
    if wanted and finished >= wanted:
        ended = {"status": "True", "reason": "CompletionsReached", "lastTransitionTime": now}
        conditions = [{"type": "SuccessCriteriaMet"} | ended, {"type": "Complete"} | ended]
        status |= {"active": 0, "ready": 0, "completionTime": now, "conditions": conditions}
    return status
