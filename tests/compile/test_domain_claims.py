"""Domains that several want: Envoy refuses a table that has one twice, so one must win and somebody must be told."""

import pytest

from tests.compile.routing import findings, hosts, seen, service, virtual_service
from tests.mesh.world import World


def entry(name: str, host: str, *, address: str = "", created: str = "2024-01-01T00:00:00Z") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: default, creationTimestamp: "{created}"}}
spec:
  hosts: ["{host}"]
  addresses: [{address}]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  location: MESH_EXTERNAL
"""


OLD, NEW = "2020-01-01T00:00:00Z", "2024-01-01T00:00:00Z"


def owners(world: World, domain: str, namespace: str = "default") -> list[str]:
    found = hosts(world, by=seen(world, namespace))
    return [name for name, host in found.items() if domain in host.domains]


@pytest.mark.parametrize("swapped", [False, True])
def test_an_address_belongs_to_the_older_of_two_services(swapped):
    texts = [entry("old", "b.com", address="10.9.9.9", created=OLD), entry("new", "a.com", address="10.9.9.9")]
    world = World(*reversed(texts) if swapped else texts)
    assert owners(world, "10.9.9.9") == ["b.com:80"]
    assert [(found.code, "a.com" in found.message) for found in findings(world)] == [("PP0427", True)]


def test_a_host_that_was_written_beats_the_short_name_of_a_service():
    world = World(service("reviews", "prod", address="10.0.0.1"), entry("e", "reviews.prod"))
    assert owners(world, "reviews.prod") == ["reviews.prod:80"]
    assert owners(world, "reviews.prod.svc") == ["reviews.prod.svc.cluster.local:80"]
    assert [found.code for found in findings(world)] == ["PP0427"]


def test_a_host_of_a_virtual_service_beats_the_short_name_of_a_service():
    rules = virtual_service("- route: [{destination: {host: reviews.prod.svc.cluster.local}}]", host="reviews.prod")
    world = World(service("reviews", "prod", address="10.0.0.1"), rules)
    assert owners(world, "reviews.prod") == ["reviews.prod:80"]


def test_a_headless_service_gives_way_to_a_wildcard_that_was_written():
    world = World(service("reviews", "prod"), entry("e", "*.reviews.prod"))
    assert owners(world, "*.reviews.prod") == ["*.reviews.prod:80"]


def test_the_older_of_two_virtual_services_has_the_host_of_no_service():
    rule = "- route: [{destination: {host: reviews}}]"
    first = virtual_service(rule, name="b", host="x.com").replace("name: b,", f'name: b, creationTimestamp: "{OLD}",')
    world = World(
        service("reviews", address="10.0.0.1"),
        first,
        virtual_service(rule, name="a", host="x.com").replace("name: a,", f'name: a, creationTimestamp: "{NEW}",'),
    )
    (route,) = hosts(world)["x.com:80"].routes
    assert route.metadata.filter_metadata["istio"]["config"].endswith("/b")


def test_a_virtual_service_cannot_take_the_place_of_unknown_destinations():
    world = World(
        virtual_service("- directResponse: {status: 200}", host='"*"'), service("reviews", address="10.0.0.1")
    )
    assert "*:80" not in hosts(world)


def test_nothing_is_withheld_and_nothing_said_where_names_differ():
    world = World(service("a", "b", address="10.0.0.1"), service("b", "a", address="10.0.0.2"), entry("e", "a.b.com"))
    assert findings(world) == []
    assert owners(world, "a.b") == ["a.b.svc.cluster.local:80"]
