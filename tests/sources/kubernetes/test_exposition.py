"""What is heard of clusters, as it is scraped."""

from prometheus_client import CollectorRegistry

from pilotpy.model.resource import Ref
from pilotpy.sources.kubernetes.clusters import State
from pilotpy.sources.kubernetes.exposition import ClusterMetrics
from pilotpy.sources.kubernetes.mirror import Told


def scraped(metrics, name, **labels):
    registry = CollectorRegistry()
    registry.register(metrics)
    return registry.get_sample_value(name, labels)


def test_what_is_told_of_objects_is_counted_as_istiod_does():
    metrics = ClusterMetrics(list)
    for collection in ("services", "east/services", "virtualservices.networking.istio.io", "secrets"):
        metrics.count(collection, Told.ADDED)
    metrics.count("services", Told.SAME)
    assert scraped(metrics, "pilot_k8s_reg_events", type="Services", event="add") == 2
    assert scraped(metrics, "pilot_k8s_reg_events", type="Services", event="updatesame") == 1
    assert scraped(metrics, "pilot_k8s_cfg_events", type="VirtualService", event="add") == 1


def test_other_clusters_are_counted_and_how_far_each_is_heard():
    secret = Ref("Secret", "istio-system", "others")
    metrics = ClusterMetrics(lambda: [State("east", secret, "synced"), State("west", secret, "timeout")])
    assert scraped(metrics, "istiod_managed_clusters", cluster_type="local") == 1
    assert scraped(metrics, "istiod_managed_clusters", cluster_type="remote") == 2
    labels = {"cluster": "west", "cluster_type": "remote", "status": "timeout"}
    assert scraped(metrics, "istiod_remote_cluster_sync_status", **labels) == 1
