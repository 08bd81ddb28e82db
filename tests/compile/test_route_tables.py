"""Route configurations: which there are, which hosts they have and what happens to all others."""

import pytest

from pilotpy.compile import http_routes
from pilotpy.compile.routes import routes
from pilotpy.engine import Failure
from pilotpy.mesh.view import Fallback, Listening
from tests.compile.routing import (
    SUBSETS,
    TO_REVIEWS,
    hashed,
    hosts,
    ruled_world,
    seen,
    service,
    tables,
    virtual_service,
)
from tests.mesh.world import World


def test_a_table_says_how_it_is_to_be_read():
    table = tables(World(service("reviews", address="10.0.0.1")))["80"]
    assert not table.validate_clusters.value
    assert table.HasField("validate_clusters")
    assert table.ignore_port_in_host_matching
    assert table.max_direct_response_body_size_bytes.value == 1024 * 1024


def test_a_host_of_no_service_is_routed_on_port_80_only():
    world = ruled_world(f"- {TO_REVIEWS}", virtual_service(f"- {TO_REVIEWS}", name="x", host="bookinfo.com"))
    assert hosts(world)["bookinfo.com:80"].domains == ["bookinfo.com"]
    assert "bookinfo.com:9080" not in hosts(world, "9080")


def test_a_host_of_no_service_follows_the_service_that_it_stands_beside():
    world = ruled_world(f"- {TO_REVIEWS}", virtual_service(f"- {TO_REVIEWS}", name="x", host="bookinfo.com, ratings"))
    assert "bookinfo.com:8080" in hosts(world, "8080")


def test_a_wildcard_routes_the_services_it_matches_and_is_no_host_itself():
    wild = virtual_service("- directResponse: {status: 204}", name="w", host='"*.default.svc.cluster.local"')
    found = hosts(World(service("reviews", address="10.0.0.1"), wild))
    assert set(found) == {"reviews.default.svc.cluster.local:80", "allow_any"}
    assert found["reviews.default.svc.cluster.local:80"].routes[0].direct_response.status == 204


def test_a_wildcard_that_matches_no_service_is_a_host():
    wild = virtual_service("- directResponse: {status: 204}", name="w", host='"*.example.com"')
    assert hosts(World(service("reviews", address="10.0.0.1"), wild))["*.example.com:80"].domains == ["*.example.com"]


def test_a_sniffed_port_has_a_table_of_its_own_for_any_domain():
    world = World(service("reviews", address="10.0.0.1", ports="web:81"))
    (host,) = tables(world)["reviews.default.svc.cluster.local:81"].virtual_hosts
    assert list(host.domains) == ["*"]
    assert host.routes[0].route.cluster == "outbound|81||reviews.default.svc.cluster.local"


def test_the_explicit_proxy_has_all_services_on_all_ports():
    world = ruled_world("- directResponse: {status: 204}")
    found = hosts(world, "http_proxy", listening=Listening(http_proxy_port=15002))
    assert "reviews.default:9080" in found["reviews.default.svc.cluster.local:9080"].domains
    assert "reviews.default" not in found["reviews.default.svc.cluster.local:9080"].domains
    assert {"reviews", "reviews:80"} <= set(found["reviews.default.svc.cluster.local:80"].domains)
    assert not tables(world, listening=Listening(http_proxy_port=15002))["http_proxy"].ignore_port_in_host_matching


def test_unknown_destinations_are_refused_where_the_mesh_knows_all():
    world = World(service("reviews", address="10.0.0.1"))
    found = hosts(world, by=seen(world)._replace(fallback=Fallback(allow_any=False)))
    assert found["block_all"].routes[0].direct_response.status == 502
    assert list(found["block_all"].domains) == ["*"]


def test_a_client_with_rules_of_its_own_is_hashed_by_these():
    own = (
        hashed("{httpHeaderName: own}")
        .replace("namespace: default", "namespace: other")
        .replace("host: reviews", "host: reviews.default.svc.cluster.local, exportTo: [.]")
    )
    world = ruled_world(f"- {TO_REVIEWS}", hashed("{httpHeaderName: all}"), own)
    name = "reviews.default.svc.cluster.local:80"
    for namespace, header in (("other", "own"), ("default", "all"), ("third", "all")):
        (route,) = hosts(world, by=seen(world, namespace))[name].routes
        assert route.route.hash_policy[0].header.header_name == header


@pytest.mark.parametrize("broken", ["ruled_routes", "default_routes"])
def test_routes_that_cannot_be_made_answer_503_and_leave_the_others_alone(broken, monkeypatch):
    def failing(*_: object) -> bytes:
        raise RuntimeError("no routes today")

    world = ruled_world(f"- {TO_REVIEWS}")
    monkeypatch.setattr(getattr(http_routes, broken), "run", failing)
    found = hosts(world, "9080") | hosts(world, "8080")
    hit, spared = "reviews.default.svc.cluster.local:9080", "ratings.default.svc.cluster.local:8080"
    if broken == "default_routes":
        hit, spared = spared, hit
    assert [route.direct_response.status for route in found[hit].routes] == [503]
    assert found[spared].routes[0].route.cluster
    notes = world.engine.notes(routes, seen(world), Listening())
    assert any(isinstance(note, Failure) and "no routes today" in note.reason for note in notes)


def test_the_order_in_which_objects_come_is_nothing_to_the_bytes():
    texts = [
        service("reviews", address="10.0.0.1"),
        service("ratings", "other", address="10.0.0.1"),
        virtual_service(f"- {TO_REVIEWS}", name="b"),
        virtual_service("- directResponse: {status: 204}", name="a"),
        virtual_service(f"- {TO_REVIEWS}", name="c", host="a.com, b.com"),
        virtual_service("- directResponse: {status: 204}", name="d", host="b.com"),
        SUBSETS,
    ]
    bodies = {
        tuple(table.SerializeToString(deterministic=True) for table in tables(World(*shuffled)).values())
        for shuffled in (texts, texts[::-1], texts[3:] + texts[:3])
    }
    assert len(bodies) == 1
