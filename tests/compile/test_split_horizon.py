"""What clients of one network are given for endpoints on another."""

import pytest

from pilotpy.compile.endpoints import assignments
from pilotpy.compile.names import name_table
from pilotpy.engine import Put
from pilotpy.mesh.clusters import HOME_CLUSTER
from pilotpy.mesh.network_gateways import HOST_ADDRESSES
from pilotpy.mesh.view import Place
from pilotpy.mesh.views import view
from pilotpy.model.resource import Finding
from pilotpy_protos.istio.networking.nds.v1.nds_pb2 import NameTable
from tests.compile.upstreams import REVIEWS, REVIEWS_SERVICE, Client, endpoint_slice, rule
from tests.mesh.networks import elsewhere, gateway, networks
from tests.mesh.world import PLAINTEXT, peer_authentication

CLUSTER = f"outbound|9080||{REVIEWS}"
GATEWAY = gateway("far", "203.0.113.9")
OTHER_WAY = gateway("far", "203.0.113.8", name="second")
OF_NEAR = gateway("near", "203.0.113.1", name="own")


def served(*placed, tls="istio", service="reviews"):
    """Pods (network, locality, readiness) at 10.1.0.1, ... behind a service."""
    pods, listed = [], []
    for number, (network, locality, ready) in enumerate(placed, 1):
        labels = {"app": service, "security.istio.io/tlsMode": tls, "istio-locality": locality.replace("/", ".")}
        labels |= {"topology.istio.io/network": network} if network else {}
        pods.append(f"""
apiVersion: v1
kind: Pod
metadata: {{name: {service}-{number}, namespace: default, labels: {labels}}}
status: {{podIP: 10.1.0.{number}, phase: Running}}
""")
        target = f"{{kind: Pod, name: {service}-{number}, namespace: default}}"
        conditions = f"{{ready: {ready}, serving: {ready}, terminating: false}}"
        listed.append(f"- {{addresses: [10.1.0.{number}], conditions: {conditions}, targetRef: {target}}}")
    return "---\n".join([*pods, endpoint_slice(service, listed)])


def sent(client, name=CLUSTER):
    """(locality, address, weight) of each endpoint."""
    return [
        ("/".join(group["locality"].values()), _address(each), each["load_balancing_weight"])
        for group in client.assignments[name]
        for each in group["lb_endpoints"]
    ]


def _address(each):
    found = each["endpoint"]["address"]["socket_address"]
    return f"{found['address']}:{found['port_value']}"


NEAR_AND_FAR = served(("near", "", "true"), ("far", "", "true"), ("far", "", "true"))


@pytest.mark.parametrize(
    ("gateways", "network", "expected"),
    [
        pytest.param(
            [], "near", [("", f"10.1.0.{n}:8080", 1) for n in (1, 2, 3)], id="without gateways all are sent to directly"
        ),
        pytest.param(
            [GATEWAY],
            "near",
            [("", "10.1.0.1:8080", 1), ("", "203.0.113.9:15443", 2)],
            id="a gateway has the weight of all behind it",
        ),
        pytest.param(
            [GATEWAY],
            "far",
            [("", f"10.1.0.{n}:8080", 1) for n in (1, 2, 3)],
            id="a network without a gateway is sent to directly",
        ),
        pytest.param(
            [GATEWAY, OTHER_WAY],
            "near",
            [("", "10.1.0.1:8080", 2), ("", "203.0.113.8:15443", 2), ("", "203.0.113.9:15443", 2)],
            id="two gateways share it, and what is direct weighs as much more",
        ),
        pytest.param(
            [GATEWAY, OF_NEAR],
            "",
            [("", "203.0.113.1:15443", 1), ("", "203.0.113.9:15443", 2)],
            id="who does not say where it is goes through gateways",
        ),
        pytest.param(
            [GATEWAY, OF_NEAR],
            "third",
            [("", "203.0.113.1:15443", 1), ("", "203.0.113.9:15443", 2)],
            id="from a third network both are far",
        ),
    ],
)
def test_endpoints_of_another_network_are_reached_through_its_gateways(gateways, network, expected):
    assert sent(Client(REVIEWS_SERVICE, NEAR_AND_FAR, *gateways, NETWORK=network)) == expected


def test_endpoints_on_no_network_are_everywhere():
    client = Client(REVIEWS_SERVICE, served(("", "", "true")), GATEWAY, NETWORK="near")
    assert sent(client) == [("", "10.1.0.1:8080", 1)]


def test_gateways_stand_in_the_localities_of_what_is_behind_them():
    placed = served(("far", "us/east", "true"), ("far", "eu/north", "true"), ("far", "eu/north", "true"))
    client = Client(REVIEWS_SERVICE, placed, GATEWAY, NETWORK="near")
    assert sent(client) == [("eu/north", "203.0.113.9:15443", 2), ("us/east", "203.0.113.9:15443", 1)]
    assert [group["load_balancing_weight"] for group in client.assignments[CLUSTER]] == [2, 1]


def test_a_gateway_is_spoken_to_in_mutual_tls():
    ((group,),) = (Client(REVIEWS_SERVICE, NEAR_AND_FAR, GATEWAY, NETWORK="near").assignments[CLUSTER],)
    assert group["lb_endpoints"][1]["metadata"]["filter_metadata"] == {
        "envoy.transport_socket_match": {"tlsMode": "istio"},
        "istio": {"workload": ";;;;Kubernetes"},
    }


@pytest.mark.parametrize(
    "written",
    [
        pytest.param([served(("far", "", "true"), tls="disabled")], id="who has no proxy"),
        pytest.param([served(("far", "", "true")), PLAINTEXT], id="who is exempt from it"),
        pytest.param(
            [served(("far", "", "true")), peer_authentication("default", "reviews", "DISABLE", app="reviews")],
            id="who exempts itself",
        ),
        pytest.param(
            [served(("far", "", "true")), rule("{tls: {mode: DISABLE}}")], id="whom a rule speaks to in plaintext"
        ),
    ],
)
def test_nobody_behind_a_gateway_is_reached_without_mutual_tls(written):
    client = Client(REVIEWS_SERVICE, *written, GATEWAY, NETWORK="near")
    assert client.assignments[CLUSTER] == []
    assert [one.code for one in client.findings] == ["PP0309"]
    assert len(sent(Client(REVIEWS_SERVICE, *written, GATEWAY, NETWORK="far"))) == 1


def test_however_many_are_not_reached_their_network_is_told_once():
    many = served(*[("far", "", "true")] * 3, tls="disabled")
    client = Client(REVIEWS_SERVICE, many, GATEWAY, NETWORK="near")
    seen = client.engine.ask(view, client.node)
    noted = client.engine.notes(assignments, seen.scope, seen.place)
    assert [one.code for one in noted if isinstance(one, Finding)] == ["PP0309"]


def test_who_is_not_ready_adds_nothing_to_a_gateway():
    client = Client(REVIEWS_SERVICE, served(("far", "", "true"), ("far", "", "false")), GATEWAY, NETWORK="near")
    assert sent(client) == [("", "203.0.113.9:15443", 1)]


def test_a_gateway_of_the_endpoints_own_cluster_is_preferred():
    remote = served(("far", "", "true")) + "---" + gateway("far", "203.0.113.2")
    client = Client(REVIEWS_SERVICE, NETWORK="near")
    client.world.put(*elsewhere("east", remote, home=GATEWAY))
    assert sent(client) == [("", "203.0.113.2:15443", 2)]


@pytest.mark.parametrize(
    ("ips", "expected"),
    [
        ("10.9.9.9", ["203.0.113.9:15443"]),
        ("fd00::9", ["2001:db8::9:15443"]),
        ("10.9.9.9,fd00::9", ["2001:db8::9:15443", "203.0.113.9:15443"]),
    ],
    ids=["IPv4", "IPv6", "both"],
)
def test_a_client_dials_the_gateways_of_its_address_families(ips, expected):
    six = gateway("far", "'2001:db8::9'", name="six")
    client = Client(REVIEWS_SERVICE, served(("far", "", "true")), GATEWAY, six, NETWORK="near", INSTANCE_IPS=ips)
    assert [address for _, address, _ in sent(client)] == expected


def test_who_speaks_no_family_of_a_gateway_does_not_go_around_it():
    client = Client(REVIEWS_SERVICE, served(("far", "", "true")), GATEWAY, NETWORK="near", INSTANCE_IPS="fd00::9")
    assert client.assignments[CLUSTER] == []


def test_a_name_is_dialled_at_what_it_was_resolved_to():
    named = networks("networks: {far: {endpoints: [], gateways: [{address: gw.example, port: 443}]}}")
    client = Client(REVIEWS_SERVICE, served(("far", "", "true")), named, NETWORK="near")
    assert sent(client) == [("", "10.1.0.1:8080", 1)]
    assert "PP0308" in {one.code for one in client.findings}
    client.engine.apply([Put(HOST_ADDRESSES, ("gw.example",), ("203.0.113.5",))])
    assert sent(client) == [("", "203.0.113.5:443", 1)]


VM = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: default, labels: {app: reviews}}
spec: {network: far, serviceAccount: vm, labels: {app: reviews}}
"""


def test_a_workload_without_an_address_is_there_for_those_who_come_through_its_gateway():
    assert sent(Client(REVIEWS_SERVICE, VM, GATEWAY, NETWORK="near")) == [("", "203.0.113.9:15443", 1)]
    assert Client(REVIEWS_SERVICE, VM, GATEWAY, NETWORK="far").assignments[CLUSTER] == []
    assert Client(REVIEWS_SERVICE, VM, NETWORK="near").assignments[CLUSTER] == []


BY_NAME = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: named, namespace: default}
spec:
  hosts: [a.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
  location: MESH_INTERNAL
  endpoints: [{address: b.example, network: far, serviceAccount: s}]
"""


def test_a_cluster_that_lists_its_endpoints_lists_gateways():
    (group,) = Client(BY_NAME, GATEWAY, NETWORK="near").clusters["outbound|80||a.example"]["load_assignment"][
        "endpoints"
    ]
    assert [_address(each) for each in group["lb_endpoints"]] == ["203.0.113.9:15443"]


def test_the_nearest_network_may_come_first():
    first = "{outlierDetection: {}, loadBalancer: {localityLbSetting: {failoverPriority: [topology.istio.io/network]}}}"
    client = Client(REVIEWS_SERVICE, NEAR_AND_FAR, GATEWAY, rule(first), NETWORK="near")
    found = [(group.get("priority", 0), len(group["lb_endpoints"])) for group in client.assignments[CLUSTER]]
    assert found == [(0, 1), (1, 1)]


def test_clients_of_one_network_share_every_assignment():
    client = Client(REVIEWS_SERVICE, NEAR_AND_FAR, GATEWAY)
    scope = client.engine.ask(view, client.node).scope

    def runs(place):
        before = client.engine.work.copy()
        client.engine.ask(assignments, scope, place)
        return client.engine.work.since(before).runs

    runs(Place(network="near"))
    assert runs(Place(network="near", cluster="east", node="n", lacks=frozenset())) == 1
    assert runs(Place(network="far")) > 1


# -- clusters --------------------------------------------------------------------------------------

KEPT = REVIEWS_SERVICE.replace("namespace: default", "namespace: kube-system")
KEPT_CLUSTER = CLUSTER.replace("default", "kube-system")
EAST = "{apiVersion: v1, kind: Namespace, metadata: {name: default}}\n---\n"


def in_system(text):
    return text.replace("namespace: default", "namespace: kube-system")


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [("Kubernetes", ["10.1.0.1:8080"]), ("east", ["10.1.0.1:8080", "10.1.0.2:8080"]), ("west", [])],
)
def test_a_service_of_the_system_is_reached_in_the_clients_own_cluster(cluster, expected):
    there = in_system(served(("", "", "true"), ("", "", "true")))
    client = Client(KEPT, in_system(served(("", "", "true"))), CLUSTER_ID=cluster)
    client.world.put(*elsewhere("east", EAST + there))
    assert [address for _, address, _ in sent(client, KEPT_CLUSTER)] == expected


def test_where_there_is_one_cluster_all_services_are_local_to_it():
    client = Client(KEPT, in_system(served(("", "", "true"))), CLUSTER_ID="whatever")
    assert len(sent(client, KEPT_CLUSTER)) == 1


def test_a_client_that_does_not_say_its_cluster_is_at_home():
    client = Client(KEPT, in_system(served(("", "", "true"))))
    client.world.put(*elsewhere("east", EAST + in_system(served(("", "", "true"), ("", "", "true")))))
    client.engine.apply([Put(HOME_CLUSTER, ("",), "west")])
    assert len(sent(client, KEPT_CLUSTER)) == 1


@pytest.mark.parametrize(("cluster", "ips"), [("Kubernetes", ["10.1.0.1"]), ("east", ["10.1.0.1", "10.1.0.2"])])
def test_a_headless_service_of_the_system_has_the_names_of_the_clients_own_cluster(cluster, ips):
    headless = KEPT.replace("10.96.0.10", "None")
    client = Client(headless, in_system(served(("", "", "true"))), CLUSTER_ID=cluster)
    client.world.put(*elsewhere("east", EAST + in_system(served(("", "", "true"), ("", "", "true")))))
    seen = client.engine.ask(view, client.node)
    (table,) = client.engine.ask(name_table, seen.scope, seen.place)
    found = NameTable.FromString(bytes(table)).table["reviews.kube-system.svc.cluster.local"]
    assert list(found.ips) == ips
