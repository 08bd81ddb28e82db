"""Which network a workload is on, and which the proxy of one."""

import pytest
from msgspec.structs import replace

from pilotpy.engine import Put
from pilotpy.mesh.clusters import HOME_CLUSTER
from pilotpy.mesh.endpoints import endpoints
from pilotpy.mesh.views import view
from tests.mesh.networks import elsewhere, networks, root_namespace
from tests.mesh.world import World, endpoint_slice, key, kube_service, pod

WEB = key("shop", "web")
SERVED = (kube_service("shop", "web"), endpoint_slice("shop", "web", "10.1.0.1"))
POD = pod("shop", "web-1", "10.1.0.1")
LABELLED = pod("shop", "web-1", "10.1.0.1", **{"topology.istio.io/network": "own"})
RANGES = "networks: {wide: {endpoints: [{fromCidr: 10.0.0.0/8}]}, narrow: {endpoints: [{fromCidr: 10.1.0.0/16}]}}"
SIX = "networks: {six: {endpoints: [{fromCidr: 'fd00::/8'}]}}"
HOME = "networks: {ours: {endpoints: [{fromRegistry: Kubernetes}]}}"
NAMED = "networks: {ours: {endpoints: [{fromRegistry: west}]}}"
SHOP = "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {topology.istio.io/network: shops}}}"


def on(world):
    return [one.network for one in world.engine.ask(endpoints, WEB, "http")]


@pytest.mark.parametrize(
    ("written", "network"),
    [
        pytest.param([POD], "", id="on none where nobody says any"),
        pytest.param([LABELLED, root_namespace("all"), networks(RANGES)], "own", id="its own label counts first"),
        pytest.param([POD, root_namespace("all"), networks(HOME)], "all", id="then that of the root namespace"),
        pytest.param([POD, SHOP], "", id="that of any other namespace says nothing"),
        pytest.param([POD, networks(HOME)], "ours", id="then the registry's"),
        pytest.param([POD, networks(NAMED)], "", id="if the registry is this one"),
        pytest.param([POD, networks(RANGES)], "wide", id="then the widest range that holds its address"),
        pytest.param([POD, networks(SIX)], "", id="a range of the other family holds none"),
        pytest.param([networks(RANGES)], "wide", id="an endpoint without a Pod has an address too"),
        pytest.param([root_namespace("all")], "all", id="and a cluster"),
    ],
)
def test_an_endpoint_is_on_a_network(written, network):
    assert on(World(*SERVED, *written)) == [network]


def test_the_home_cluster_is_called_what_it_is_called():
    world = World(*SERVED, POD, networks(NAMED))
    world.engine.apply([Put(HOME_CLUSTER, ("",), "west")])
    (found,) = world.engine.ask(endpoints, WEB, "http")
    assert (found.network, found.cluster, dict(found.labels)["topology.istio.io/cluster"]) == ("ours", "west", "west")


EAST = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.7, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-9, namespace: shop}
status: {podIP: 10.1.0.1}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-x, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.1]}]
ports: [{name: http, port: 8080}]
---
"""


def test_clusters_on_different_networks_may_have_the_same_addresses():
    world = World(*SERVED, POD, root_namespace("west-net"), *elsewhere("east", EAST + root_namespace("east-net")))
    found = world.engine.ask(endpoints, WEB, "http")
    assert [(one.address, one.cluster, one.network, one.workload) for one in found] == [
        ("10.1.0.1", "Kubernetes", "west-net", "web-1"),
        ("10.1.0.1", "east", "east-net", "web-9"),
    ]


def test_the_older_endpoints_of_one_cluster_stand_beside_the_slices_of_another():
    older = """
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: v1
kind: Endpoints
metadata: {name: web, namespace: shop}
subsets: [{addresses: [{ip: 10.2.0.1}], ports: [{name: http, port: 8080}]}]
"""
    found = World(*SERVED, *elsewhere("east", older)).engine.ask(endpoints, WEB, "http")
    assert [(one.address, one.cluster) for one in found] == [("10.1.0.1", "Kubernetes"), ("10.2.0.1", "east")]


WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: vm, namespace: shop}}
spec: {{{spec}, labels: {{app: web}}}}
"""


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("address: 10.3.0.1, network: vms", ("10.3.0.1", "vms")),
        ("address: 10.3.0.1", ("10.3.0.1", "all")),
        ("network: vms", ("", "vms")),
    ],
    ids=["says its network", "is on that of the home cluster", "needs no address where its network has a name"],
)
def test_a_workload_entry_is_on_a_network(spec, found):
    world = World(kube_service("shop", "web"), root_namespace("all"), WORKLOAD.format(spec=spec))
    assert [(one.address, one.network) for one in world.engine.ask(endpoints, WEB, "http")] == [found]


@pytest.mark.parametrize(
    ("metadata", "network"),
    [
        pytest.param({"NETWORK": "told"}, "told", id="as it says"),
        pytest.param({}, "own", id="else its Pod's"),
        pytest.param({"CLUSTER_ID": "east"}, "own", id="the Pod of its name is taken for its own"),
    ],
)
def test_a_proxy_is_on_a_network(metadata, network):
    assert World(LABELLED).view("web-1.shop", **metadata).place.network == network


def test_a_proxy_without_a_pod_is_on_the_network_of_its_cluster():
    world = World(root_namespace("west-net"), *elsewhere("east", root_namespace("east-net")))
    assert world.view("vm.shop").place.network == "west-net"
    assert world.view("vm.shop", CLUSTER_ID="east").place.network == "east-net"


def test_the_pod_of_a_proxy_is_one_of_its_own_cluster():
    there = elsewhere("east", "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
    assert World(LABELLED, *there).view("web-1.shop", CLUSTER_ID="east").place.network == ""
    pods = elsewhere("east", "{apiVersion: v1, kind: Pod, metadata: {name: web-1, namespace: shop}}")
    labelled = [replace(one, meta=replace(one.meta, labels={"topology.istio.io/network": "its"})) for one in pods]
    assert World(LABELLED, *there, *labelled).view("web-1.shop", CLUSTER_ID="east").place.network == "its"


def test_networks_change_while_running():
    world = World(*SERVED, POD, networks(HOME))
    assert on(world) == ["ours"]
    world.put(networks(HOME.replace("ours", "renamed")))
    assert on(world) == ["renamed"]
    world.drop("MeshNetworks", "istio-system", "meshnetworks")
    assert on(world) == [""]


def test_a_proxy_that_wants_some_networks_alone_is_told_that_it_has_all():
    world = World()
    world.view("web-1.shop", REQUESTED_NETWORK_VIEW="one,two")
    assert world.codes(view, "sidecar~10.9.9.9~web-1.shop~shop.svc.cluster.local") == [("PP0008", None)]
