"""From what an API server sends of a collection to changes, whatever is wrong with single objects."""

import json

import msgspec
import pytest

from pilotpy.model.resource import Ref
from pilotpy.schema import codes
from pilotpy.sources.kubernetes.collection import COLLECTIONS
from pilotpy.sources.kubernetes.mirror import Mirror, Told
from pilotpy.sources.kubernetes.wire import Event

BY_KIND = {one.called: one for one in COLLECTIONS}


def raw(one):
    return msgspec.Raw(json.dumps(one).encode())


def written(kind, version, name, spec):
    return {"apiVersion": version, "kind": kind, "metadata": {"namespace": "shop", "name": name}, "spec": spec}


def route(to="reviews", **spec):
    http = [{"route": [{"destination": {"host": to}}]}]
    return written("VirtualService", "networking.istio.io/v1", "web", {"hosts": ["web"], "http": http} | spec)


def policy(**spec):
    return written("AuthorizationPolicy", "security.istio.io/v1", "web", spec)


class Cluster:
    """A mirror, fed."""

    def __init__(self, kind):
        self.collection = BY_KIND[kind]
        self.mirror = Mirror(self.collection)

    def holds(self, *objects):
        return self.mirror.replace([self.collection.read(raw(one)) for one in objects])

    def tells(self, what, one):
        return self.mirror.update([Event(what, raw(one))])


def test_a_list_replaces_what_was_there():
    cluster = Cluster("Namespace")
    one, two, three = ({"metadata": {"name": name}} for name in ("one", "two", "three"))
    assert {(change.ref.name, change.new is not None) for change in cluster.holds(one, two)} == {
        ("one", True),
        ("two", True),
    }
    assert {(change.ref.name, change.new is not None) for change in cluster.holds(two, three)} == {
        ("one", False),
        ("three", True),
    }


def test_a_gateway_of_one_api_is_none_of_the_other():
    theirs = {"gatewayClassName": "istio", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}
    cluster = Cluster("KubernetesGateway")
    (change,) = cluster.holds(gateway := written("Gateway", "gateway.networking.k8s.io/v1", "edge", theirs))
    assert change.ref == Ref("KubernetesGateway", "shop", "edge")
    assert Cluster("Gateway").tells("DELETED", gateway) == []
    assert [(one.ref, one.new) for one in cluster.tells("DELETED", gateway)] == [(change.ref, None)]


def test_what_reads_the_same_is_no_change():
    cluster = Cluster("Node")
    node = {"metadata": {"name": "a", "labels": {"zone": "z"}, "resourceVersion": "1"}, "status": {"images": [1]}}
    assert len(cluster.tells("ADDED", node)) == 1
    beaten = node | {"metadata": node["metadata"] | {"resourceVersion": "2", "annotations": {"beat": "9"}}}
    assert cluster.tells("MODIFIED", beaten | {"status": {"images": [2]}}) == []


def test_what_is_told_of_objects_is_counted():
    counted = []
    mirror = Mirror(BY_KIND["Node"], counted.append)
    node = {"metadata": {"name": "a", "labels": {"zone": "z"}}}
    moved = {"metadata": {"name": "a", "labels": {"zone": "y"}}}
    for what, one in (("ADDED", node), ("MODIFIED", node), ("MODIFIED", moved), ("DELETED", moved), ("DELETED", moved)):
        mirror.update([Event(what, raw(one))])
    assert counted == [Told.ADDED, Told.SAME, Told.CHANGED, Told.REMOVED]


def test_a_deletion_of_what_was_never_there_is_no_change():
    assert Cluster("Node").tells("DELETED", {"metadata": {"name": "a"}}) == []


def test_an_object_that_breaks_keeps_what_it_said_last_and_says_so():
    cluster = Cluster("VirtualService")
    cluster.tells("ADDED", route())
    assert cluster.tells("MODIFIED", route(http=7)) == []
    assert [finding.ref for finding in cluster.mirror.findings] == [Ref("VirtualService", "shop", "web")]
    (mended,) = cluster.tells("MODIFIED", route("ratings"))
    assert mended.old.spec.http[0].route[0].destination.host == "reviews"
    assert cluster.mirror.findings == ()


def test_an_object_that_was_never_good_is_not_there():
    cluster = Cluster("VirtualService")
    assert cluster.tells("ADDED", route(http=7)) == []
    assert cluster.tells("DELETED", route(http=7)) == []
    assert cluster.mirror.findings == ()


def test_a_policy_that_was_never_good_shuts_what_it_is_for():
    cluster = Cluster("AuthorizationPolicy")
    (shut,) = cluster.tells("ADDED", policy(selector={"matchLabels": {"app": "web"}}, rules=7))
    assert shut.new.spec.selector.match_labels == {"app": "web"}
    assert shut.new.spec.rules == ()
    assert cluster.holds(policy(selector={"matchLabels": {"app": "web"}}, rules=7)) == []
    (opened,) = cluster.tells("MODIFIED", policy(rules=[{}]))
    assert opened.new.spec.rules
    assert cluster.tells("MODIFIED", policy(rules=7)) == [], "now something good is known"


def test_a_field_that_nobody_knows_is_told_and_the_rest_used():
    cluster = Cluster("VirtualService")
    (change,) = cluster.tells("ADDED", route(colour="red"))
    assert change.new.spec.hosts == ("web",)
    assert [finding.field for finding in cluster.mirror.findings] == ["spec.colour"]


@pytest.mark.parametrize(
    "broken",
    [
        {"metadata": {"namespace": "shop", "name": "a"}, "spec": {"ports": "none"}},
        {"metadata": {"namespace": "shop", "name": "a"}, "spec": None},
        {"metadata": {"name": ["a"]}},
        {},
    ],
    ids=["ports that are no list", "no spec", "a name that is no text", "nothing at all"],
)
def test_one_broken_object_does_not_cost_the_others(broken):
    cluster = Cluster("Service")
    fine = {"metadata": {"namespace": "shop", "name": "b"}, "spec": {"ports": [{"port": 80}]}}
    assert [change.ref.name for change in cluster.holds(broken, fine)] == ["b"]
    assert len(cluster.mirror.findings) == 1


def test_what_nobody_serves_yet_is_told():
    cluster = Cluster("Ingress")
    spec = {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}
    item = {"metadata": {"namespace": "shop", "name": "a"}, "spec": spec}  # in lists without its kind
    (change,) = cluster.holds(item)
    assert change.new.spec.default_backend.service.port.number == 80
    assert [one.code for one in cluster.mirror.findings] == [codes.NOT_COMPILED]
