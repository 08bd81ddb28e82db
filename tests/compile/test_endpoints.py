"""From endpoints to assignments: which are sent, as what, and how a client's place orders them."""

import pytest

from pilotpy.compile.endpoints import assignments
from pilotpy.mesh.service import Locality
from pilotpy.mesh.view import Place
from pilotpy.mesh.views import view
from pilotpy.model.destination_rule import Distribute, LocalityLoadBalancerSetting
from pilotpy.model.mesh_config import MeshConfig
from tests.compile.upstreams import REVIEWS, REVIEWS_SERVICE, Client, addresses, rule, workloads

CLUSTER = f"outbound|9080||{REVIEWS}"
READY = "ready: true"
UNREADY = "ready: false, serving: false, terminating: false"
LEAVING = "ready: false, serving: true, terminating: true"

# One endpoint beside the client, one in its zone, one in its region, two elsewhere.
SPREAD_OUT = workloads(
    ("v1", "us/east/a", READY),
    ("v1", "us/east/b", READY),
    ("v2", "us/west/a", READY),
    ("v2", "eu/north/a", READY),
    ("v2", "ap/south/a", READY),
)


def client_pod(locality: str, node: str = "", **labels: str) -> str:
    written = ", ".join(f"{name}: {value}" for name, value in {"app": "client", **labels}.items())
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: client, namespace: default, labels: {{{written}, istio-locality: {locality.replace("/", ".")}}}}}
spec: {{nodeName: {node!r}}}
status: {{podIP: 10.0.0.100, phase: Running}}
"""


def test_an_endpoint_is_an_address_with_its_health_its_weight_and_who_it_is():
    found = Client(REVIEWS_SERVICE, workloads(("v1", "us/east/a", READY))).assignments
    assert found == {
        CLUSTER: [
            {
                "locality": {"region": "us", "zone": "east", "sub_zone": "a"},
                "lb_endpoints": [
                    {
                        "endpoint": {"address": {"socket_address": {"address": "10.1.0.1", "port_value": 8080}}},
                        "health_status": "HEALTHY",
                        "load_balancing_weight": 1,
                        "metadata": {
                            "filter_metadata": {"istio": {"workload": "reviews-v1-1;default;reviews;v1;Kubernetes"}}
                        },
                    }
                ],
                "load_balancing_weight": 1,
            }
        ]
    }


def test_a_service_without_endpoints_has_an_empty_assignment():
    assert Client(REVIEWS_SERVICE).assignments == {CLUSTER: []}


@pytest.mark.parametrize(
    ("policy", "sent"),
    [
        pytest.param("null", [("HEALTHY", "1"), ("UNHEALTHY", "2")], id="to every client, as unhealthy ones"),
        pytest.param(
            "{outlierDetection: {minHealthPercent: 10}}",
            [("HEALTHY", "1")],
            id="unless panic would send requests to them",
        ),
    ],
)
def test_endpoints_that_are_not_ready_are_sent(policy, sent):
    ready_or_not = workloads(("v1", "", READY), ("v1", "", UNREADY), ("v1", "", LEAVING))
    found = Client(REVIEWS_SERVICE, ready_or_not, rule(policy)).assignments[CLUSTER]
    (group,) = found
    assert [
        (each["health_status"], each["endpoint"]["address"]["socket_address"]["address"][-1])
        for each in group["lb_endpoints"]
    ] == sent


def test_endpoints_that_drain_are_sent_where_sessions_persist():
    lasting = REVIEWS_SERVICE.replace(
        "namespace: default}", 'namespace: default, labels: {istio.io/persistent-session: "x"}}'
    )
    leaving = workloads(("v1", "", LEAVING))
    assert Client(REVIEWS_SERVICE, leaving).assignments[CLUSTER] == []
    client = Client(lasting, leaving)
    assert client.assignments[CLUSTER][0]["lb_endpoints"][0]["health_status"] == "DRAINING"
    kept = client.clusters[CLUSTER]["common_lb_config"]["override_host_status"]["statuses"]
    assert kept == ["HEALTHY", "DRAINING", "UNKNOWN", "DEGRADED"]


def test_a_subset_has_the_endpoints_with_its_labels():
    subsets = "[{name: v1, labels: {version: v1}}, {name: v3, labels: {version: v3}}]"
    found = Client(REVIEWS_SERVICE, SPREAD_OUT, rule("null", subsets=subsets)).assignments
    assert addresses(found[f"outbound|9080|v1|{REVIEWS}"]) == [("us/east/a", 0, ["1"]), ("us/east/b", 0, ["2"])]
    assert found[f"outbound|9080|v3|{REVIEWS}"] == []


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param("null", [0, 0, 0, 0, 0], id="without outlier detection all alike"),
        pytest.param("{outlierDetection: {}}", [3, 3, 0, 1, 2], id="with it, the nearest first"),
        pytest.param(
            "{outlierDetection: {}, loadBalancer: {localityLbSetting: {failover: [{from: us, to: eu}]}}}",
            [4, 3, 0, 1, 2],
            id="and of the far ones those that take over",
        ),
        pytest.param(
            "{outlierDetection: {}, loadBalancer: {localityLbSetting: {enabled: false}}}",
            [0, 0, 0, 0, 0],
            id="unless the rule turns it off",
        ),
        pytest.param(
            "{loadBalancer: {zoneAwareLbSetting: {}}}",
            [1, 1, 0, 0, 0],
            id="zones are Envoy's own matter, regions are not",
        ),
        pytest.param(
            "{outlierDetection: {}, loadBalancer: {localityLbSetting: {failoverPriority: [version=v2]}}}",
            [0, 0, 1, 1, 0],
            id="or those first whose labels are as wanted",
        ),
        pytest.param(
            "{outlierDetection: {}, loadBalancer: {localityLbSetting: {failoverPriority: [version]}}}",
            [1, 1, 0, 0, 1],
            id="or as the client's own",
        ),
    ],
)
def test_the_preferred_come_first(policy, expected):
    client = Client(REVIEWS_SERVICE, SPREAD_OUT, client_pod("us/east/a", version="v1"), rule(policy))
    found = addresses(client.assignments[CLUSTER])
    assert [place for place, _, _ in found] == ["ap/south/a", "eu/north/a", "us/east/a", "us/east/b", "us/west/a"]
    assert [priority for _, priority, _ in found] == expected


def test_localities_share_traffic_as_a_rule_says_and_others_get_none():
    shares = '{from: "us/*", to: {"us/east/*": 70, "eu/*": 30}}'
    policy = f"{{loadBalancer: {{localityLbSetting: {{distribute: [{shares}]}}}}}}"
    client = Client(REVIEWS_SERVICE, SPREAD_OUT, client_pod("us/east/a"), rule(policy))
    found = client.assignments[CLUSTER]
    assert [(place, priority) for place, priority, _ in addresses(found)] == [
        ("eu/north/a", 0),
        ("us/east/a", 0),
        ("us/east/b", 0),
    ]
    assert [group["load_balancing_weight"] for group in found] == [30, 35, 35]


def test_the_mesh_may_say_how_localities_share():
    shares = (Distribute(from_="us/*", to={"us/west/*": 100}),)
    mesh = MeshConfig(locality_lb_setting=LocalityLoadBalancerSetting(distribute=shares))
    client = Client(REVIEWS_SERVICE, SPREAD_OUT, client_pod("us/east/a"), mesh=mesh)
    assert addresses(client.assignments[CLUSTER]) == [("us/west/a", 0, ["3"])]


def test_a_service_may_prefer_its_clients_zone_without_any_rule():
    near = REVIEWS_SERVICE.replace("spec:", "spec:\n  trafficDistribution: PreferClose")
    client = Client(near, SPREAD_OUT, client_pod("us/east/a"))
    assert [priority for _, priority, _ in addresses(client.assignments[CLUSTER])] == [2, 2, 0, 0, 1]
    assert "locality_weighted_lb_config" in client.clusters[CLUSTER]["common_lb_config"]


def test_a_local_service_is_reached_on_its_clients_node():
    local = REVIEWS_SERVICE.replace("spec:", "spec:\n  internalTrafficPolicy: Local")
    here_and_there = workloads(("v1", "", READY), ("v1", "", READY)).replace(
        "status: {podIP: 10.1.0.1,", "spec: {nodeName: one}\nstatus: {podIP: 10.1.0.1,"
    )
    assert addresses(Client(local, here_and_there, client_pod("us/east/a", "one")).assignments[CLUSTER]) == [
        ("", 0, ["1"])
    ]
    assert Client(local, here_and_there, client_pod("us/east/a", "two")).assignments[CLUSTER] == []


def test_a_client_elsewhere_costs_what_depends_on_its_place():
    plain = REVIEWS_SERVICE.replace("reviews", "plain").replace("10.96.0.10", "10.96.0.11")
    client = Client(REVIEWS_SERVICE, plain, SPREAD_OUT, rule("{outlierDetection: {}}"))
    scope = client.engine.ask(view, client.node).scope

    def runs(place: Place) -> int:
        before = client.engine.work.copy()
        client.engine.ask(assignments, scope, place)
        return client.engine.work.since(before).runs

    assert runs(Place()) > 3
    assert runs(Place(locality=Locality("us", "east", "a"))) == 4, (
        "one assignment, those of its namespace, its run, all"
    )
    assert runs(Place(locality=Locality("us", "east", "a"), node="n")) == 1, "a node matters to nobody here"


def test_with_unequal_weights_each_counts_as_much_as_it_says():
    entry = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: default}
spec:
  hosts: [outside.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
  - {address: 10.2.0.1, weight: 3, locality: us/east}
  - {address: "unix:///run/app.sock", locality: us/east}
"""
    (group,) = Client(entry).assignments["outbound|80||outside.example.com"]
    assert group["locality"] == {"region": "us", "zone": "east"}
    assert group["load_balancing_weight"] == 4
    assert [each["load_balancing_weight"] for each in group["lb_endpoints"]] == [3, 1]
    assert group["lb_endpoints"][1]["endpoint"]["address"] == {"pipe": {"path": "/run/app.sock"}}
