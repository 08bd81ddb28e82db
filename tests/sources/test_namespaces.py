"""Which objects count: discovery selectors, labels of namespaces, revisions."""

import pytest

from pilotpy.model.resource import Meta, Resource
from pilotpy.schema.decode import decode_object
from pilotpy.schema.mesh_config import mesh_config
from pilotpy.sources.change import Change, Origin
from pilotpy.sources.kubernetes.foreign import foreign
from pilotpy.sources.mesh_settings import MESH_CONFIG
from pilotpy.sources.namespaces import Namespaces

HERE = Origin("", 0)


def thing(kind, version, name, namespace=None, labels=None, **rest):
    metadata = {"name": name, "labels": labels or {}} | ({"namespace": namespace} if namespace else {})
    read = decode_object({"apiVersion": version, "kind": kind, "metadata": metadata, **rest})
    assert read.resource, read.findings
    return read.resource


def service(namespace, name="web"):
    return thing("Service", "v1", name, namespace)


def namespace(name, **labels):
    return thing("Namespace", "v1", name, labels=labels)


def gateway(revision):
    labels = {"istio.io/rev": revision} if revision is not None else {}
    return thing("Gateway", "networking.istio.io/v1", "edge", "shop", labels, spec={"servers": []})


def mesh(selectors):
    config, findings = mesh_config(f"discoverySelectors: {selectors}", "mesh")
    assert config, findings
    return Resource(MESH_CONFIG, Meta(name=""), config)


class World:
    """Objects, and those of them that count."""

    def __init__(self, *objects, revision=""):
        self.namespaces = Namespaces(revision)
        self.counting = {}
        self.put(*objects)

    def put(self, *objects):
        self._take([Change(one.ref, HERE, None, one) for one in objects])

    def remove(self, *objects):
        self._take([Change(one.ref, HERE, one, None) for one in objects])

    def _take(self, changes):
        for ref, _, old, new in self.namespaces.counting(changes):
            assert self.counting.get(ref) == old != new
            if new is None:
                del self.counting[ref]
            else:
                self.counting[ref] = new

    @property
    def services(self):
        return {ref.namespace for ref in self.counting if ref.kind == "Service"}


SHOPS = (namespace("one", mesh="yes", tier="a"), namespace("two", mesh="no"), namespace("three"))
SERVICES = (service("one"), service("two"), service("three"))


@pytest.mark.parametrize(
    ("selectors", "chosen"),
    [
        ("[]", {"one", "two", "three"}),
        ("[{}]", {"one", "two", "three"}),
        ("[{matchLabels: {mesh: 'yes'}}]", {"one"}),
        ("[{matchLabels: {mesh: 'yes'}}, {matchLabels: {mesh: 'no'}}]", {"one", "two"}),
        ("[{matchLabels: {mesh: 'yes', tier: b}}]", set()),
        ("[{matchExpressions: [{key: mesh, operator: Exists}]}]", {"one", "two"}),
        ("[{matchExpressions: [{key: mesh, operator: DoesNotExist}]}]", {"three"}),
        ("[{matchExpressions: [{key: mesh, operator: In, values: ['no', maybe]}]}]", {"two"}),
        ("[{matchExpressions: [{key: mesh, operator: NotIn, values: ['no']}]}]", {"one", "three"}),
    ],
)
def test_selectors_choose_namespaces(selectors, chosen):
    assert World(mesh(selectors), *SHOPS, *SERVICES).services == chosen, "settings first"
    assert World(*SERVICES, *SHOPS, mesh(selectors)).services == chosen, "settings last"


def test_a_label_brings_a_namespace_in_and_takes_it_out():
    world = World(mesh("[{matchLabels: {mesh: 'yes'}}]"), *SHOPS, *SERVICES)
    world.put(namespace("two", mesh="yes"))
    assert world.services == {"one", "two"}
    world.put(namespace("one"))
    assert world.services == {"two"}
    world.remove(namespace("two", mesh="yes"))
    assert world.services == set()


def test_what_has_no_namespace_and_the_settings_themselves_always_count():
    world = World(mesh("[{matchLabels: {mesh: never}}]"), *SHOPS, thing("Node", "v1", "a"))
    assert {ref.kind for ref in world.counting} == {"MeshConfig", "Namespace", "Node"}
    world.put(mesh("[]"))
    world.remove(mesh("[]"))
    assert MESH_CONFIG not in world.counting


def test_what_is_removed_while_it_does_not_count_does_not_come_back():
    world = World(mesh("[{matchLabels: {mesh: 'yes'}}]"), *SHOPS, *SERVICES)
    world.remove(SERVICES[1])
    world.put(namespace("two", mesh="yes"))
    assert world.services == {"one"}


def pod(namespace, name="web-1"):
    return thing("Pod", "v1", name, namespace, spec={"containers": []})


def pods(world):
    return {ref.name for ref in world.counting if ref.kind == "Pod"}


def test_pods_of_another_cluster_go_by_the_labels_of_their_namespace_there():
    world = World(mesh("[{matchLabels: {mesh: 'yes'}}]"), namespace("one", mesh="yes"), namespace("two"))
    world.put(*(foreign(one, "east") for one in (namespace("one"), namespace("two", mesh="yes"))))
    world.put(pod("one"), pod("two"), foreign(pod("one"), "east"), foreign(pod("two", "web-2"), "east"))
    assert pods(world) == {"web-1", "web-2@east"}
    world.put(foreign(namespace("one", mesh="yes"), "east"))
    assert pods(world) == {"web-1", "web-1@east", "web-2@east"}
    world.remove(foreign(namespace("two", mesh="yes"), "east"))
    assert pods(world) == {"web-1", "web-1@east"}


@pytest.mark.parametrize(
    ("own", "label", "counts"),
    [
        ("", None, True),
        ("", "default", True),
        ("", "canary", False),
        ("canary", None, True),
        ("canary", "canary", True),
        ("canary", "default", False),
    ],
)
def test_an_object_may_be_for_one_revision(own, label, counts):
    assert bool(World(gateway(label), revision=own).counting) == counts


def test_a_change_of_revision_is_a_coming_or_a_going():
    world = World(gateway("canary"))
    world.put(gateway(None))
    assert world.counting
    world.put(gateway("canary"))
    assert not world.counting


def webhook(name, tag, revision):
    labels = {"istio.io/tag": tag, "istio.io/rev": revision}
    return thing("MutatingWebhookConfiguration", "admissionregistration.k8s.io/v1", name, labels=labels)


def test_a_tag_is_another_name_of_the_revision_that_its_webhook_sends_pods_to():
    tagged = webhook("prod", "prod", "canary")
    for objects in ((tagged, gateway("prod")), (gateway("prod"), tagged)):
        world = World(*objects, revision="canary")
        assert gateway("prod").ref in world.counting
        world.put(webhook("prod", "prod", "default"))
        assert gateway("prod").ref not in world.counting, "it was moved to another revision"
        world.put(tagged)
        assert gateway("prod").ref in world.counting
        world.remove(tagged)
        assert gateway("prod").ref not in world.counting


def test_a_tag_of_two_webhooks_stays_until_both_are_gone():
    one, two = (webhook(name, "prod", "canary") for name in ("one", "two"))
    world = World(one, two, gateway("prod"), revision="canary")
    world.remove(one)
    assert gateway("prod").ref in world.counting
    world.remove(two)
    assert gateway("prod").ref not in world.counting


def test_a_tag_brings_in_nothing_of_namespaces_that_are_not_discovered():
    world = World(mesh("[{matchLabels: {mesh: 'yes'}}]"), namespace("shop"), gateway("prod"))
    world.put(webhook("prod", "prod", "default"))
    assert gateway("prod").ref not in world.counting
    world.put(namespace("shop", mesh="yes"))
    assert gateway("prod").ref in world.counting


def test_a_service_is_for_all_revisions():
    assert World(thing("Service", "v1", "web", "shop", {"istio.io/rev": "canary"})).services == {"shop"}


def test_a_namespace_is_chosen_by_its_labels_in_each_cluster():
    world = World(mesh("[{matchLabels: {mesh: 'yes'}}]"), namespace("one"), service("one"))
    world.put(namespace("one@east", mesh="yes"), service("one", "web@east"), service("two", "web@east"))
    assert {ref.name for ref in world.counting if ref.kind == "Service"} == {"web@east"}
    world.put(namespace("two@east", mesh="yes"), namespace("one@east"))
    assert {(ref.namespace, ref.name) for ref in world.counting if ref.kind == "Service"} == {("two", "web@east")}
    world.put(mesh("[]"))
    assert len([ref for ref in world.counting if ref.kind == "Service"]) == 3
