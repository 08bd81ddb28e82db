from __future__ import annotations

from pilotpy.compile.names import name_table
from pilotpy_protos.istio.networking.nds.v1.nds_pb2 import NameTable
from tests.compile.listening import entry, service, slices
from tests.mesh.world import World


def table(world, **metadata):
    view = world.view("client.default", **metadata)
    (only,) = world.engine.ask(name_table, view.scope, view.place)
    assert only.name == ""
    return NameTable.FromString(bytes(only)).table


def ips(world, **metadata):
    return {host: list(info.ips) for host, info in table(world, **metadata).items()}


def test_a_service_has_its_address_and_the_names_that_shorter_forms_are_made_of():
    found = table(World(service("a", "http:80")))["a.default.svc.cluster.local"]
    assert (list(found.ips), found.registry, found.namespace, found.shortname) == (
        ["10.96.0.1"],
        "Kubernetes",
        "default",
        "a",
    )


def test_an_external_service_has_no_shorter_names():
    found = table(World(entry("e", "a.com", "80 HTTP", "1.2.3.4, 1.2.3.5, 10.0.0.0/8")))["a.com"]
    assert (list(found.ips), found.registry, found.namespace, found.shortname) == (
        ["1.2.3.4", "1.2.3.5"],
        "External",
        "",
        "",
    )


def test_a_service_without_an_address_is_left_to_others():
    assert ips(World(entry("e", "a.com", "80 HTTP"))) == {}


def test_a_headless_service_has_its_ready_endpoints():
    unready = slices("a", "http:80", "10.1.0.1", "10.1.0.2").replace(
        "{addresses: [10.1.0.2]}", "{addresses: [10.1.0.2], conditions: {ready: false, terminating: false}}"
    )
    world = World(service("a", "http:80", address="None"), unready)
    assert ips(world) == {"a.default.svc.cluster.local": ["10.1.0.1"]}


def test_a_headless_service_may_want_all_its_endpoints():
    unready = slices("a", "http:80", "10.1.0.1").replace(
        "{addresses: [10.1.0.1]}", "{addresses: [10.1.0.1], conditions: {ready: false, terminating: false}}"
    )
    wanting = service("a", "http:80", address="None").replace("spec: {", "spec: {publishNotReadyAddresses: true, ")
    assert ips(World(wanting, unready)) == {"a.default.svc.cluster.local": ["10.1.0.1"]}


POD = """
apiVersion: v1
kind: Pod
metadata: {name: a-0, namespace: default, labels: {app: a}}
spec: {hostname: a-0, subdomain: a, containers: [{name: a}]}
status: {podIP: 10.1.0.1, phase: Running}
"""


def test_a_pod_of_a_stateful_set_has_a_name_of_its_own():
    world = World(service("a", "http:80", address="None"), slices("a", "http:80", "10.1.0.1"), POD)
    found = table(world)
    assert sorted(found) == ["a-0.a.default.svc.cluster.local", "a.default.svc.cluster.local"]
    assert found["a-0.a.default.svc.cluster.local"].shortname == "a-0.a"


def test_a_headless_service_has_no_endpoints_of_other_networks():
    elsewhere = POD.replace("labels: {app: a}", "labels: {app: a, topology.istio.io/network: far}")
    world = World(service("a", "http:80", address="None"), slices("a", "http:80", "10.1.0.1"), elsewhere)
    assert ips(world, NETWORK="near") == {}
    assert "a.default.svc.cluster.local" in ips(world, NETWORK="far")


def test_an_endpoint_of_a_service_with_an_address_changes_no_name():
    world = World(service("a", "http:80"), slices("a", "http:80", "10.1.0.1"))
    table(world)
    before = world.engine.work.copy()
    world.put(slices("a", "http:80", "10.1.0.2"))
    view = world.view("client.default")
    world.engine.ask(name_table, view.scope, view.place)
    assert world.engine.work.since(before).marks == 0
