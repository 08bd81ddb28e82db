"""The lab as a node of the cluster: a Node that is ready while a lab runs, with its Lease.

Source: kubernetes pkg/kubelet/kubelet_node_status.go, pkg/kubelet/nodelease.
"""

from __future__ import annotations

import asyncio
import logging
import os
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from pilotpy.lab.cluster.objects import Object
from pilotpy.lab.cluster.writes import MANAGER, Verb
from pilotpy.lab.network import GATEWAY
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.trouble import Refused, Trouble

NODE: Final = "pilotpy-lab"
MARK: Final = "lab.pilotpy.dev/node"
"""The label by which a lab knows its own Node."""

_PATH: Final = f"/api/v1/nodes/{NODE}"
_LEASE: Final = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NODE}"
BEAT: Final = timedelta(seconds=10)
"""Between two renewals of the Lease."""

_DURATION: Final = timedelta(seconds=40)
_MOST_PODS: Final = 200
_NOT_FOUND: Final = 404
_log = logging.getLogger(__name__)


async def register(connection: Connection) -> None:
    """Say that the node is there and ready. Raises Trouble."""
    labels = {MARK: "true", "kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}
    about = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}}
    await _apply(connection, _PATH, about)
    await _say(connection, ready=True)


async def beat(connection: Connection) -> None:
    """Renew the Lease, for ever."""
    while True:
        try:
            await _apply(connection, _LEASE, _lease())
        except Trouble as trouble:
            _log.debug("the node's lease waits: %s", trouble)
        await asyncio.sleep(BEAT.total_seconds())


async def leave(connection: Connection) -> None:
    """Say that nothing runs there any more. Raises Trouble."""
    await _say(connection, ready=False)
    await connection.ask("DELETE", _LEASE)


async def renewal(connection: Connection) -> str:
    """When the Lease was renewed last; "" if there is none. Raises Trouble."""
    try:
        found = msgspec.json.decode(await connection.ask("GET", _LEASE))
    except Refused as refused:
        if refused.status != _NOT_FOUND:
            raise
        return ""
    return str(found["spec"].get("renewTime", ""))


async def _say(connection: Connection, *, ready: bool) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    size = {"cpu": str(os.cpu_count() or 1), "memory": "16Gi", "pods": str(_MOST_PODS)}
    condition = {
        "type": "Ready",
        "status": str(ready),
        "reason": "LabIsUp" if ready else "LabIsDown",
        "message": "Pods run in network namespaces of one machine" if ready else "the lab ended",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    addresses = [{"type": "InternalIP", "address": GATEWAY}, {"type": "Hostname", "address": NODE}]
    status = {"addresses": addresses, "capacity": size, "allocatable": size, "conditions": [condition]}
    await connection.ask("PATCH", f"{_PATH}/status", {"status": status}, content=Verb.MERGE.value)


def _lease() -> Object:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"namespace": "kube-node-lease", "name": NODE},
        "spec": {
            "holderIdentity": NODE,
            "leaseDurationSeconds": int(_DURATION.total_seconds()),
            "renewTime": now,
        },
    }


async def _apply(connection: Connection, path: str, body: Object) -> None:
    query = {"fieldManager": MANAGER, "force": "true"}
    await connection.ask("PATCH", path, body, query=query, content=Verb.APPLY.value)
