"""The gateways between networks, from Services and MeshNetworks to addresses."""

import pytest

from pilotpy.engine import Put
from pilotpy.mesh.network_gateways import HOST_ADDRESSES, gateways, gateways_to, wanted_hosts, weight_scale
from tests.mesh.networks import elsewhere, gateway, networks
from tests.mesh.world import World

NODES = """
apiVersion: v1
kind: Node
metadata: {name: a, labels: {edge: "yes"}}
status: {addresses: [{type: ExternalIP, address: 203.0.113.1}, {type: InternalIP, address: 10.0.0.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: b}
status: {addresses: [{type: ExternalIP, address: 203.0.113.2}]}
---
apiVersion: v1
kind: Node
metadata: {name: c, labels: {edge: "yes"}}
status: {addresses: [{type: InternalIP, address: 10.0.0.3}]}
"""


def of_nodes(selector, node_port="30443"):
    return f"""
apiVersion: v1
kind: Service
metadata:
  name: eastwest
  namespace: istio-system
  labels: {{topology.istio.io/network: far}}
  annotations: {{traffic.istio.io/nodeSelector: '{selector}'}}
spec: {{type: NodePort, ports: [{{name: tls, port: 15443, nodePort: {node_port}}}]}}
"""


def service(spec, *, status="{}", labels="topology.istio.io/network: far"):
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: eastwest, namespace: istio-system, labels: {{{labels}}}}}
spec: {{{spec}}}
status: {status}
"""


OWN_PORT = ", networking.istio.io/gatewayPort: '15444'"
BALANCER = "type: LoadBalancer, ports: [{name: tls, port: 15443}]"
TWO = "{loadBalancer: {ingress: [{ip: 203.0.113.9}, {ip: 203.0.113.8, hostname: ignored.example}]}}"


@pytest.mark.parametrize(
    ("written", "found"),
    [
        pytest.param([], [], id="there are none unless somebody names one"),
        pytest.param([gateway("far", "203.0.113.9")], ["203.0.113.9:15443"], id="a load balancer's address"),
        pytest.param(
            [service(BALANCER, status=TWO)], ["203.0.113.8:15443", "203.0.113.9:15443"], id="each of a load balancer's"
        ),
        pytest.param(
            [service(BALANCER, status=TWO.replace("ip: 203.0.113.9", "hostname: lb.example"))],
            ["203.0.113.8:15443"],
            id="a name that nobody has resolved is none",
        ),
        pytest.param(
            [service("externalIPs: [203.0.113.7], ports: [{port: 15443}]")], ["203.0.113.7:15443"], id="external IPs"
        ),
        pytest.param(
            [gateway("far", "203.0.113.9", more=OWN_PORT).replace("port: 15443", "port: 15444")],
            ["203.0.113.9:15444"],
            id="a port of its own",
        ),
        pytest.param(
            [gateway("far", "203.0.113.9").replace("port: 15443", "port: 443")], [], id="not at a port that it lacks"
        ),
        pytest.param([gateway("far", "203.0.113.9", more=OWN_PORT)], [], id="not at a port that it says and lacks"),
        pytest.param([NODES, of_nodes("{}")], ["203.0.113.1:30443", "203.0.113.2:30443"], id="Nodes at their port"),
        pytest.param([NODES, of_nodes('{"edge": "yes"}')], ["203.0.113.1:30443"], id="Nodes with labels"),
        pytest.param([NODES, of_nodes("edge")], [], id="no Nodes of labels that cannot be read"),
        pytest.param(
            [NODES, of_nodes("{}").replace("traffic.istio.io/nodeSelector", "a")], [], id="no Nodes unasked for"
        ),
        pytest.param(
            [gateway("far", "203.0.113.9", name="other").replace("topology.istio.io/network: far", "a: b")],
            [],
            id="a Service without the label is none",
        ),
    ],
)
def test_a_service_is_a_gateway(written, found):
    assert [f"{one.address}:{one.port}" for one in World(*written).engine.ask(gateways)] == found


@pytest.mark.parametrize(
    "text",
    [service(BALANCER), of_nodes("{}"), service("type: NodePort, ports: [{port: 15443}]")],
    ids=["no load balancer yet", "no Nodes", "nobody says which Nodes"],
)
def test_a_gateway_that_nobody_can_reach_is_told(text):
    assert [one.code for one in World(text).engine.notes(gateways)] == ["PP0310"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(gateway("far", "203.0.113.9", more=OWN_PORT), "no port 15444", id="it says another than it has"),
        pytest.param(
            gateway("far", "203.0.113.9").replace("port: 15443", "port: 443"), "no port 15443", id="it says nothing"
        ),
    ],
)
def test_a_service_that_lacks_the_port_of_a_gateway_is_told(text, words):
    (told,) = World(text).engine.notes(gateways)
    assert told.code == "PP0307"
    assert words in told.message


def test_a_service_within_a_cluster_is_no_gateway_that_lacks_an_address():
    assert not World(service("ports: [{port: 15443}]")).engine.notes(gateways)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (gateway("far", "203.0.113.9", more=", networking.istio.io/gatewayPort: tls"), "gatewayPort"),
        (of_nodes("edge"), "nodeSelector"),
    ],
)
def test_what_cannot_be_read_of_a_gateway_is_told(text, field):
    told = {one.code: one for one in World(text).engine.notes(gateways)}
    assert field in told["PP0307"].field


ADDRESSED = "networks: {far: {endpoints: [{fromRegistry: east}], gateways: [{address: %s, port: 443}]}}"
REGISTERED = """
networks:
  far:
    endpoints: [{fromRegistry: %s}]
    gateways: [{registryServiceName: eastwest.istio-system.svc.cluster.local, port: 15443}]
"""


def test_mesh_networks_name_an_address():
    (found,) = World(networks(ADDRESSED % "203.0.113.5")).engine.ask(gateways)
    assert found == ("203.0.113.5", 443, "far", "")


@pytest.mark.parametrize(("registry", "count"), [("Kubernetes", 1), ("east", 0)])
def test_mesh_networks_name_a_service_of_a_cluster(registry, count):
    plain = gateway("x", "203.0.113.6").replace("topology.istio.io/network: x", "a: b")
    assert len(World(plain, networks(REGISTERED % registry)).engine.ask(gateways)) == count
    there = World(*elsewhere("east", plain), networks(REGISTERED % registry)).engine.ask(gateways)
    assert len(there) == 1 - count
    assert all((one.network, one.cluster) == ("far", "east") for one in there)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(REGISTERED % "Kubernetes", id="one that is not there"),
        pytest.param((REGISTERED % "Kubernetes").replace(".svc.cluster.local", ""), id="half a name"),
        pytest.param((REGISTERED % "Kubernetes").replace("[{fromRegistry: Kubernetes}]", "[]"), id="no cluster"),
    ],
)
def test_mesh_networks_that_name_a_service_nobody_knows_are_told(written):
    other = gateway("x", "203.0.113.6", name="other").replace("topology.istio.io/network: x", "a: b")
    (told,) = World(other, networks(written)).engine.notes(gateways)
    assert (told.code, told.field) == ("PP0311", "networks.far.gateways[0].registryServiceName")


def test_mesh_networks_that_name_a_service_with_a_label_of_its_own_say_nothing():
    world = World(gateway("near", "203.0.113.6"), networks(REGISTERED % "Kubernetes"))
    assert [one.network for one in world.engine.ask(gateways)] == ["near"]
    assert not world.engine.notes(gateways)


def test_a_name_is_what_it_was_resolved_to():
    world = World(networks(ADDRESSED % "gw.example"))
    asking = world.engine.ask
    assert asking(wanted_hosts) == ("gw.example",)
    assert asking(gateways) == ()
    assert [note.code for note in world.engine.notes(gateways)] == ["PP0308"]
    world.engine.apply([Put(HOST_ADDRESSES, ("gw.example",), ("203.0.113.1", "2001:db8::1"))])
    assert [one.address for one in asking(gateways)] == ["2001:db8::1", "203.0.113.1"]
    assert not world.engine.notes(gateways)
    world.drop("MeshNetworks", "istio-system", "meshnetworks")
    assert asking(wanted_hosts) == ()


BOTH = elsewhere("east", gateway("shared", "203.0.113.2"), home=gateway("shared", "203.0.113.1"))
THREE = """
networks:
  three:
    endpoints: []
    gateways: [{address: 203.0.113.5, port: 443}, {address: 203.0.113.6, port: 443}, {address: 203.0.113.7, port: 443}]
"""


def test_each_cluster_has_gateways_though_their_services_have_one_name():
    found = World(*BOTH).engine.ask(gateways)
    assert [(one.address, one.cluster) for one in found] == [("203.0.113.1", "Kubernetes"), ("203.0.113.2", "east")]


@pytest.mark.parametrize(
    ("network", "cluster", "found"),
    [
        ("shared", "east", ["203.0.113.2"]),
        ("shared", "Kubernetes", ["203.0.113.1"]),
        ("shared", "west", ["203.0.113.1", "203.0.113.2"]),
        ("other", "east", []),
    ],
    ids=["those of the cluster itself", "or of ours", "else all of the network", "none of another network"],
)
def test_a_workload_is_reached_through(network, cluster, found):
    assert [one.address for one in World(*BOTH).engine.ask(gateways_to, network, cluster)] == found


@pytest.mark.parametrize(
    ("written", "scale"),
    [
        ([], 1),
        ([gateway("one", "203.0.113.1")], 1),
        (BOTH, 2),
        ([*BOTH, networks(THREE)], 6),
    ],
    ids=["nothing to divide", "one gateway", "two of a network", "two of one, three of another"],
)
def test_weights_can_be_divided_among_the_gateways_of_any_network(written, scale):
    assert World(*written).engine.ask(weight_scale) == scale
