"""Rules of VirtualServices and the routes that they become."""

import pytest

from tests.compile.routing import (
    RATINGS,
    REVIEWS,
    SUBSETS,
    TO_REVIEWS,
    action,
    findings,
    hosts,
    only,
    plain,
    ruled,
    ruled_world,
    service,
    virtual_service,
)
from tests.mesh.world import World


def test_a_service_without_rules_has_the_default_route():
    world = World(service("reviews", address="10.0.0.1"))
    host = hosts(world)["reviews.default.svc.cluster.local:80"]
    assert host.include_request_attempt_count
    (route,) = host.routes
    assert plain(route) == {
        "name": "default",
        "match": {"prefix": "/"},
        "decorator": {"operation": "reviews.default.svc.cluster.local:80/*"},
        "route": {
            "cluster": REVIEWS,
            "timeout": "0s",
            "max_grpc_timeout": "0s",
            "retry_policy": {
                "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
                "num_retries": 2,
                "host_selection_retry_max_attempts": "5",
                "retry_host_predicate": [
                    {
                        "name": "envoy.retry_host_predicates.previous_hosts",
                        "typed_config": {
                            "@type": "type.googleapis.com/"
                            "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                        },
                    }
                ],
            },
        },
    }


def test_a_route_names_the_object_that_made_it():
    route = only(f"- name: first\n  match: [{{name: all, uri: {{prefix: /}}}}]\n  {TO_REVIEWS}")
    assert route["name"] == "first.all"
    config = "/apis/networking.istio.io/v1/namespaces/default/virtual-service/routes"
    assert route["metadata"] == {"filter_metadata": {"istio": {"config": config}}}
    assert route["decorator"] == {"operation": "reviews.default.svc.cluster.local:80/*"}


def test_a_virtual_service_that_says_nothing_on_a_port_makes_room_for_the_next():
    world = ruled_world(
        f"- match: [{{port: 9080}}]\n  {TO_REVIEWS}", virtual_service("- directResponse: {status: 204}", name="second")
    )
    (route,) = hosts(world)["reviews.default.svc.cluster.local:80"].routes
    assert route.direct_response.status == 204


def test_only_the_first_virtual_service_of_a_host_counts():
    world = ruled_world("- directResponse: {status: 201}", virtual_service("- directResponse: {status: 202}", name="z"))
    assert [route.direct_response.status for route in hosts(world)["reviews.default.svc.cluster.local:80"].routes] == [
        201
    ]


def test_nothing_follows_a_route_that_takes_everything():
    http = f"""
- match: [{{uri: {{prefix: /a}}}}, {{uri: {{prefix: /}}}}, {{uri: {{prefix: /b}}}}]
  {TO_REVIEWS}
- directResponse: {{status: 204}}
"""
    assert [route["match"]["prefix"] for route in ruled(http)] == ["/a", "/"]


@pytest.mark.parametrize(
    ("to", "want"),
    [
        pytest.param("{host: reviews}", "outbound|80||reviews.default.svc.cluster.local", id="the listener's port"),
        pytest.param("{host: ratings}", RATINGS, id="the only port of a service"),
        pytest.param(
            "{host: ratings, port: {number: 9}}", "outbound|9||ratings.default.svc.cluster.local", id="a port named"
        ),
        pytest.param("{host: reviews, subset: v1}", "outbound|80|v1|reviews.default.svc.cluster.local", id="a subset"),
        pytest.param("{host: nobody}", "outbound|80||nobody.default.svc.cluster.local", id="a host that nobody has"),
        pytest.param("{host: old}", "outbound|80||reviews.default.svc.cluster.local", id="what an alias stands for"),
    ],
)
def test_a_destination_is_a_cluster(to, want):
    alias = """
apiVersion: v1
kind: Service
metadata: {name: old, namespace: default}
spec: {type: ExternalName, externalName: reviews.default.svc.cluster.local, ports: [{name: http, port: 80}]}
"""
    assert action(f"- route: [{{destination: {to}}}]", SUBSETS, alias)["cluster"] == want


@pytest.mark.parametrize(
    ("to", "field", "code"),
    [
        pytest.param("{host: nobody}", "host", "IST0101", id="no service"),
        pytest.param("{host: reviews, subset: v9}", "subset", "IST0101", id="no subset"),
        pytest.param("{host: ratings, port: {number: 9}}", "port", "IST0101", id="no such port"),
    ],
)
def test_a_destination_that_leads_nowhere_is_kept_and_said(to, field, code):
    world = ruled_world(f"- route: [{{destination: {to}}}]", SUBSETS)
    (found,) = findings(world)
    assert (found.code, found.field) == (code, f"spec.http[0].route[0].destination.{field}")
