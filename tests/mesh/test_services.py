import pytest

from pilotpy.mesh.service import Port, Protocol, Registry, Resolution, ServiceKey
from pilotpy.mesh.service_entries import entries
from pilotpy.mesh.services import holder, restricted_services, service
from tests.mesh.world import World, entry, key, kube_service

WEB = """
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  labels: {team: blue}
  annotations: {ANNOTATION}
spec:
  {SPEC}
  ports:
  - {name: http, port: 80, targetPort: web}
  - {name: db, port: 3306}
"""


def web(spec="clusterIP: 10.0.0.1", annotation=""):
    text = WEB.replace("{SPEC}", spec).replace("{ANNOTATION}", "{" + annotation + "}")
    world = World(text)
    return world.engine.ask(service, key("shop", "web"))


def test_a_kubernetes_service():
    found = web("clusterIP: 10.0.0.1\n  selector: {b: '2', a: '1'}")
    assert found.key == ServiceKey("shop", "web.shop.svc.cluster.local")
    assert found.registry is Registry.KUBERNETES
    assert found.resolution is Resolution.CLIENT_SIDE
    assert found.addresses == ("10.0.0.1",)
    assert found.selector == (("a", "1"), ("b", "2"))
    assert found.labels == (("team", "blue"),)
    assert found.ports == (Port(80, "http", Protocol.HTTP, "web"), Port(3306, "db", Protocol.TCP))
    assert found.export_to == {"*"}


@pytest.mark.parametrize(
    ("spec", "resolution", "addresses", "alias"),
    [
        pytest.param("clusterIP: None", Resolution.PASSTHROUGH, (), "", id="headless has no address"),
        pytest.param("type: ClusterIP", Resolution.CLIENT_SIDE, (), "", id="no address assigned yet"),
        pytest.param(
            "clusterIPs: [10.0.0.1, 'fd00::1']", Resolution.CLIENT_SIDE, ("10.0.0.1", "fd00::1"), "", id="dual stack"
        ),
        pytest.param(
            "type: ExternalName\n  externalName: Other.example.com.",
            Resolution.ALIAS,
            (),
            "other.example.com",
            id="an ExternalName is an alias",
        ),
    ],
)
def test_how_a_kubernetes_service_is_found(spec, resolution, addresses, alias):
    found = web(spec)
    assert (found.resolution, found.addresses, found.alias_of) == (resolution, addresses, alias)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        pytest.param("networking.istio.io/exportTo: .", {"shop"}, id="only its own namespace"),
        pytest.param("networking.istio.io/exportTo: 'a, b'", {"a", "b"}, id="some namespaces"),
        pytest.param("networking.istio.io/exportTo: 'a,*'", {"*"}, id="all win over some"),
        pytest.param("networking.istio.io/exportTo: 'a,~'", {"~"}, id="nobody wins over some"),
    ],
)
def test_who_sees_a_kubernetes_service(annotation, expected):
    assert web(annotation=annotation).export_to == expected


def test_the_mesh_says_who_sees_services_that_do_not():
    world = World(kube_service("shop", "web"), kube_service("shop", "open", export_to="*"))
    world.settings(default_service_export_to=(".", "ops"))
    assert world.engine.ask(service, key("shop", "web")).export_to == {"shop", "ops"}
    assert world.engine.ask(service, key("shop", "open")).export_to == {"*"}
    for namespace, seen in {"shop": [key("shop", "web")], "ops": [key("shop", "web")], "other": []}.items():
        assert list(world.engine.ask(restricted_services, namespace)) == seen


def test_of_two_transports_on_one_port_clients_of_the_mesh_see_tcp():
    dns = "{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}, {name: log, port: 514, protocol: UDP}"
    head = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n"
    world = World(f"{head}spec: {{ports: [{dns}]}}")
    found = world.engine.ask(service, key("shop", "web"))
    assert [(port.name, port.protocol) for port in found.ports] == [("dns-tcp", Protocol.TCP), ("log", Protocol.UDP)]


def test_identities_that_a_service_names():
    annotation = "alpha.istio.io/kubernetes-serviceaccounts: 'a,b', alpha.istio.io/canonical-serviceaccounts: 'x@y'"
    accounts = ("x@y", "spiffe://cluster.local/ns/shop/sa/a", "spiffe://cluster.local/ns/shop/sa/b")
    assert web(annotation=annotation).service_accounts == accounts


@pytest.mark.parametrize(
    ("annotation", "spec", "namespace", "expected"),
    [
        pytest.param("", "", "", "", id="nothing said"),
        pytest.param("", "trafficDistribution: PreferClose", "", "PreferClose", id="the spec says"),
        pytest.param("PreferSameNode", "trafficDistribution: PreferClose", "", "PreferSameNode", id="annotation first"),
        pytest.param("", "", "PreferClose", "PreferClose", id="the namespace says for all"),
        pytest.param(
            "", "trafficDistribution: PreferSameNode", "PreferClose", "PreferSameNode", id="the spec is nearer"
        ),
    ],
)
def test_traffic_distribution(annotation, spec, namespace, expected):
    name = "networking.istio.io/traffic-distribution"
    text = WEB.replace("{SPEC}", spec or "type: ClusterIP")
    text = text.replace("{ANNOTATION}", f"{{{name}: {annotation}}}" if annotation else "{}")
    world = World(text)
    if namespace:
        world.put(f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, annotations: {{{name}: {namespace}}}}}")
    assert world.engine.ask(service, key("shop", "web")).traffic_distribution == expected


ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop, labels: {team: blue}}
spec:
  hosts: [API.example.com, other.example.com]
  addresses: [192.0.2.1, 192.0.2.2/32, 198.51.100.0/24, nonsense]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 443, name: tls, protocol: TLS, targetPort: 8443}, {number: 80, name: web, protocol: http}]
  subjectAltNames: [spiffe://x/y]
  exportTo: ["."]
"""


def test_a_service_entry_is_a_service_for_each_host():
    world = World(ENTRY)
    for host in ("api.example.com", "other.example.com"):
        found = world.engine.ask(service, ServiceKey("shop", host))
        assert found.name == host
        assert found.registry is Registry.EXTERNAL
        assert found.resolution is Resolution.CLIENT_SIDE
        assert found.addresses == ("192.0.2.1", "192.0.2.2", "198.51.100.0/24")
        assert found.ports == (Port(443, "tls", Protocol.TLS, 8443), Port(80, "web", Protocol.HTTP))
        assert found.service_accounts == ("spiffe://x/y",)
        assert found.export_to == {"shop"}
        assert not found.mesh_external


def test_entries_that_agree_add_their_ports():
    older, newer = (entry("shop", name, "a.com", age=age) for name, age in (("b", 1), ("a", 2)))
    more = newer.spec.ports[0]
    newer = entry("shop", "a", "a.com", age=2, ports=(more, type(more)(number=80, name="web", protocol="HTTP")))
    world = World(newer, older)
    assert [port.number for port in world.engine.ask(service, ServiceKey("shop", "a.com")).ports] == [443, 80]
    assert world.codes(service, ServiceKey("shop", "a.com")) == [("PP0111", newer.ref)]


def test_of_entries_that_differ_the_oldest_counts():
    world = World(entry("shop", "b", "a.com", age=1), late := entry("shop", "a", "a.com", age=2, resolution="DNS"))
    assert world.engine.ask(service, ServiceKey("shop", "a.com")).resolution is Resolution.PASSTHROUGH
    assert world.codes(entries, "shop", "a.com") == [("PP0110", late.ref)]


def test_of_a_port_with_two_protocols_the_older_counts():
    http = entry("shop", "x", "a.com").spec.ports[0]
    http = type(http)(number=443, name="web", protocol="HTTP")
    world = World(entry("shop", "b", "a.com", age=1), late := entry("shop", "a", "a.com", age=2, ports=(http,)))
    assert world.codes(entries, "shop", "a.com") == [("PP0111", late.ref)]
    assert world.engine.ask(service, ServiceKey("shop", "a.com")).ports[0].protocol is Protocol.TLS


class TestWhoHoldsAHost:
    """What a host means to everybody who has nothing of their own under it."""

    HOST = "web.shop.svc.cluster.local"

    def test_the_service_of_that_name(self):
        assert World(kube_service("shop", "web")).engine.ask(holder, self.HOST) == key("shop", "web")

    def test_a_kubernetes_service_rather_than_an_entry_that_squats(self):
        world = World(entry("evil", "e", self.HOST, age=1), kube_service("shop", "web"))
        assert world.engine.ask(holder, self.HOST).namespace == "shop"

    def test_the_oldest_of_several_entries(self):
        world = World(entry("a", "e", "x.com", age=2), entry("b", "e", "x.com", age=1))
        assert world.engine.ask(holder, "x.com").namespace == "b"

    def test_nobody_if_only_some_namespaces_see_it(self):
        world = World(entry("a", "e", "x.com", export_to=(".",)))
        assert world.engine.ask(holder, "x.com") is None

    def test_nobody_once_it_is_gone(self):
        world = World(kube_service("shop", "web"))
        assert world.engine.ask(holder, self.HOST)
        world.drop("Service", "shop", "web")
        assert world.engine.ask(holder, self.HOST) is None
