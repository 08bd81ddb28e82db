"""What is heard of clusters, as it is scraped."""

from prometheus_client import CollectorRegistry

from pilotpy.model.resource import Ref
from pilotpy.sources.kubernetes.clusters import REMOTE_SECRETS, State
from pilotpy.sources.kubernetes.exposition import ClusterMetrics
from pilotpy.sources.kubernetes.mirror import Told


def scraped(metrics, name, **labels):
    registry = CollectorRegistry()
    registry.register(metrics)
    return registry.get_sample_value(name, labels)


def test_what_is_told_of_objects_is_counted_as_istiod_does():
    metrics = ClusterMetrics("home", list, int)
    for collection in ("services", "east/services", "virtualservices.networking.istio.io", "secrets"):
        metrics.count(collection, Told.ADDED)
    metrics.count("services", Told.SAME)
    assert scraped(metrics, "pilot_k8s_reg_events", type="Services", event="add") == 2
    assert scraped(metrics, "pilot_k8s_reg_events", type="Services", event="updatesame") == 1
    assert scraped(metrics, "pilot_k8s_cfg_events", type="VirtualService", event="add") == 1


def test_other_clusters_are_counted_and_how_far_each_is_heard():
    secret = Ref("Secret", "istio-system", "others")
    metrics = ClusterMetrics("home", lambda: [State("east", secret, "synced"), State("west", secret, "timeout")], int)
    assert scraped(metrics, "istiod_managed_clusters", cluster_type="local") == 1
    assert scraped(metrics, "istiod_managed_clusters", cluster_type="remote") == 2
    labels = {"cluster": "west", "cluster_type": "remote", "status": "timeout"}
    assert scraped(metrics, "istiod_remote_cluster_sync_status", **labels) == 1


def test_secrets_that_name_clusters_are_counted_apart_and_each_event_as_istiod_does():
    metrics = ClusterMetrics("home", list, int)
    for told in Told:
        metrics.count(REMOTE_SECRETS, told)
    for event, times in {"add": 1, "update": 2, "delete": 1}.items():
        assert scraped(metrics, "remote_cluster_secret_events_total", event=event) == times


def test_what_goes_wrong_is_counted_by_the_cluster_where_it_does():
    metrics = ClusterMetrics("home", list, int)
    for collection in ("services", "pods", REMOTE_SECRETS, "east/pods"):
        metrics.fail(collection)
    assert scraped(metrics, "controller_sync_errors_total", cluster="home") == 3
    assert scraped(metrics, "controller_sync_errors_total", cluster="east") == 1


def test_addresses_of_pods_that_are_not_there_are_counted_when_they_are_asked_for():
    podless = [3]
    metrics = ClusterMetrics("home", list, lambda: podless[-1])
    assert scraped(metrics, "pilot_k8s_endpoints_pending_pod") == 3
    podless.append(0)
    assert scraped(metrics, "pilot_k8s_endpoints_pending_pod") == 0
