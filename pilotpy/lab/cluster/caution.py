"""Whether a lab may act on a cluster, and where in it: only where nobody else does, and where it was told to.

A lab makes Pods of Deployments. Where a controller manager does so, too, both would; so a lab keeps away from a cluster
in which anything shows that somebody lives there. Pure.

Source: kubernetes pkg/controller/leaderelection (Leases kube-controller-manager, kube-scheduler), API concepts (Nodes).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from pilotpy.lab.cluster.node import MARK, NODE
from pilotpy.lab.cluster.objects import SYSTEM, Object
from pilotpy.model.resource import Resource

_RULERS: Final = {"kube-controller-manager": "a controller manager", "kube-scheduler": "a scheduler"}
_MOST: Final = 3


class Inhabited(OSError):
    """It is somebody's cluster; says by what it is known."""


def inhabitants(nodes: Iterable[Object], leases: Iterable[Object], pods: Iterable[Object]) -> Iterator[str]:
    """Who lives in a cluster, a phrase each. `leases`: of kube-system; `pods`: of all namespaces.

    Nothing is taken for dead because it is late: whose clock would that be by?
    """
    for lease in leases:
        name, holder = lease["metadata"]["name"], (lease.get("spec") or {}).get("holderIdentity")
        if name in _RULERS and holder:
            yield f"{_RULERS[name]}: {holder}"
    for node in nodes:
        name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
        if name == NODE and MARK in labels:
            continue
        if name == NODE:
            yield f"a node called {NODE} that is no lab's"
        elif _is_ready(node):
            yield f"a node that is ready: {name}"
    running = [one for one in pods if _runs_elsewhere(one)]
    for one in running[:_MOST]:
        yield f"a Pod that runs: {one['metadata']['namespace']}/{one['metadata']['name']}"


def refusal(found: Iterable[str]) -> str:
    """What somebody is told whose cluster is inhabited."""
    return (
        f"this cluster is lived in ({'; '.join(found)}), and a lab would run its workloads a second time: give it an "
        "API server of its own (`pilotpy lab up --api-server`). If all of that is dead, say so with --yes: then it "
        "acts in the namespaces that are labelled istio-injection=enabled"
    )


def takes_part(namespace: Resource[Any], *, everywhere: bool) -> bool:
    """Whether a lab runs what is in a namespace: it is labelled for it, or the whole API server is the lab's own."""
    name, labels = namespace.ref.name, namespace.meta.labels
    if name.startswith("kube-") or name == SYSTEM:
        return False
    injected = labels.get("istio-injection", "")
    return injected != "disabled" if everywhere else injected == "enabled"


def _is_ready(node: Object) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _runs_elsewhere(pod: Object) -> bool:
    status = pod.get("status") or {}
    return status.get("phase") == "Running" and pod["spec"].get("nodeName") != NODE
