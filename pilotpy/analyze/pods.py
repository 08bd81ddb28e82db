"""Pods of all namespaces by their labels: whom gateways, and policies of the root namespace, may select."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.kinds import PODS
from pilotpy.mesh.workloads import Workload, pod_workload, selects
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Resource

Pairs = tuple[tuple[str, str], ...]


def _namespace(pod: Resource[Pod]) -> Iterable[str]:
    return (pod.ref.namespace,)


def _labels(pod: Resource[Pod]) -> Iterable[tuple[str, str]]:
    return pod.meta.labels.items()


PODS_BY_NAMESPACE = Index(PODS, _namespace, "pods by namespace")
PODS_BY_ANY_LABEL = Index(PODS, _labels, "pods of all namespaces by label")


def pairs(labels: Mapping[str, str]) -> Pairs:
    """Return labels in the form in which queries take selectors: sorted."""
    return tuple(sorted(labels.items()))


def spelled(selector: Pairs) -> str:
    """Return a selector as people write it: ``app=web,tier=front``."""
    return ",".join(f"{name}={value}" for name, value in selector)


@query
def pods_anywhere(q: Asking, selector: Pairs) -> tuple[Workload, ...]:
    """Return the Pods of all namespaces that a selector picks, sorted by namespace and name; an empty one picks all."""
    if selector:
        keys = q.keys(PODS_BY_ANY_LABEL, selector[0])
    else:
        keys = tuple(key for namespace in q.buckets(PODS_BY_NAMESPACE) for key in q.keys(PODS_BY_NAMESPACE, namespace))
    found = [q(pod_workload, *cast("tuple[str, str]", key)) for key in sorted(keys)]
    return tuple(one for one in found if one and selects(selector, one.labels))
