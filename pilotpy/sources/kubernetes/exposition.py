"""What is heard of clusters, as metrics under istiod's names.

Source  istio pilot/pkg/serviceregistry/kube/controller, pilot/pkg/config/kube/crdclient, pkg/kube/multicluster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from pilotpy.sources.kubernetes.clusters import REMOTE_SECRETS, State
from pilotpy.sources.kubernetes.collection import COLLECTIONS
from pilotpy.sources.kubernetes.mirror import Told

_REGISTRY: Final = {
    "endpointslices.discovery.k8s.io": "EndpointSlice",
    "namespaces": "Namespaces",
    "nodes": "Nodes",
    "pods": "Pods",
    "services": "Services",
}
_WRITTEN: Final = {one.name: one.kind for one in COLLECTIONS if one.defined or one.kind == "Ingress"}


class ClusterMetrics(Collector):
    """Counts what is told of objects, and tells it when it is asked for."""

    def __init__(self, own: str, others: Callable[[], list[State]], podless: Callable[[], int]) -> None:
        """`own`: our cluster's name; `others`: how it stands with others; `podless`: how many addresses have no Pod."""
        self._own = own
        self._others = others
        self._podless = podless
        self._failures: Counter[str] = Counter()  # by cluster
        self._told: Counter[tuple[str, str, str]] = Counter()  # metric, type, event

    def count(self, collection: str, told: Told) -> None:
        """One more of a collection; which may be another cluster's, "east/pods"."""
        name = collection.rpartition("/")[2]
        if name == REMOTE_SECRETS:
            self._told["remote_cluster_secret_events_total", "", told.value.removesuffix("same")] += 1
        elif kind := _REGISTRY.get(name):
            self._told["pilot_k8s_reg_events", kind, told.value] += 1
        elif kind := _WRITTEN.get(name):
            self._told["pilot_k8s_cfg_events", kind, told.value] += 1

    def fail(self, collection: str) -> None:
        """One more failure to list or watch a collection."""
        self._failures[collection.rpartition("/")[0] or self._own] += 1

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        # Of no type, or prometheus-client would add `_total` to istiod's names.
        events = {
            "pilot_k8s_reg_events": Metric("pilot_k8s_reg_events", "What was told of what runs.", "unknown"),
            "pilot_k8s_cfg_events": Metric("pilot_k8s_cfg_events", "What was told of configuration.", "unknown"),
            "remote_cluster_secret_events_total": Metric(
                "remote_cluster_secret_events_total", "What was told of Secrets that name other clusters.", "unknown"
            ),
        }
        for (metric, kind, event), count in sorted(self._told.items()):
            events[metric].add_sample(metric, ({"type": kind} if kind else {}) | {"event": event}, count)
        failures = Metric("controller_sync_errors_total", "Lists and watches that went wrong.", "unknown")
        for cluster, count in sorted(self._failures.items()):
            failures.add_sample(failures.name, {"cluster": cluster}, count)
        podless = Metric("pilot_k8s_endpoints_pending_pod", "Addresses of Pods that nothing was told of.", "gauge")
        podless.add_sample(podless.name, {}, self._podless())
        states = self._others()
        followed = Metric("istiod_managed_clusters", "Clusters that are followed.", "gauge")
        for kind, count in (("local", 1), ("remote", len(states))):
            followed.add_sample(followed.name, {"cluster_type": kind}, count)
        synced = Metric("istiod_remote_cluster_sync_status", "How far other clusters are heard.", "gauge")
        for cluster, _, sync in states:
            labels = {"cluster": cluster, "cluster_type": "remote", "status": sync}
            synced.add_sample(synced.name, labels, 1)
        return [*events.values(), failures, podless, followed, synced]
