"""Views: what a proxy's facts, and what is known of its workload, come to."""

from datetime import timedelta

import msgspec
import pytest

from pilotpy.engine import Put
from pilotpy.mesh.kinds import PROXIES
from pilotpy.mesh.proxy import proxy_from_node
from pilotpy.mesh.service import Locality
from pilotpy.mesh.view import Features, Listening, Mode, Place
from pilotpy.mesh.views import view
from pilotpy.model.kubernetes import KubeService, KubeServicePort
from pilotpy.model.resource import Meta, Ref, Resource
from pilotpy.model.sidecar import IstioIngressListener, SidecarPort
from tests.mesh.world import World, endpoint_slice, kube_service, peer_authentication, pod, sidecar

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
spec:
  nodeName: n1
  containers:
  - name: web
    ports: [{name: web, containerPort: 8080}, {name: udp, containerPort: 53, protocol: UDP}]
status: {podIP: 10.1.0.1}
"""

NODE = """
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: eu-1}}
"""


def service(name, *ports, created="2024-01-01T00:00:00Z", selector="{app: web}"):
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop, creationTimestamp: "{created}"}}
spec: {{clusterIP: 10.0.0.1, selector: {selector}, ports: [{", ".join(ports)}]}}
"""


HTTP = "{name: http, port: 80, targetPort: web}"


def targets(world, pod="web-1.shop", ip="10.1.0.1", **metadata):
    found = world.view(pod, ip, **metadata).inbound.targets
    return [(target.service.host.partition(".")[0], target.port, target.target) for target in found]


class TestTargets:
    """The service ports that the workload behind a proxy serves."""

    @pytest.mark.parametrize(
        ("services", "expected"),
        [
            pytest.param([], [], id="no service"),
            pytest.param([service("a", HTTP)], [("a", 80, 8080)], id="a named target port is a container port"),
            pytest.param(
                [service("a", "{port: 80, targetPort: 9090}")], [("a", 80, 9090)], id="a numbered target port"
            ),
            pytest.param([service("a", "{port: 80}")], [("a", 80, 80)], id="no target port means the same number"),
            pytest.param([service("a", "{port: 80, targetPort: other}")], [], id="a name that no container has"),
            pytest.param([service("a", "{port: 80, targetPort: udp}")], [], id="a name of another transport"),
            pytest.param([service("a", "{port: 53, protocol: UDP}")], [], id="UDP is not taken"),
            pytest.param([service("a", HTTP, selector="{app: other}")], [], id="a selector for others"),
            pytest.param([service("a", HTTP, selector="{app: web, v: '1'}")], [], id="a selector for some of them"),
            pytest.param([service("a", HTTP, selector="{}")], [], id="no selector selects nothing"),
            pytest.param(
                [service("a", HTTP, created="2024-01-02T00:00:00Z"), service("b", HTTP)],
                [("b", 80, 8080)],
                id="of two services on one port the older",
            ),
            pytest.param(
                [service("b", HTTP), service("a", HTTP)], [("a", 80, 8080)], id="of two as old the first by host"
            ),
            pytest.param(
                [service("a", "{name: p, port: 81, targetPort: 1}", "{name: q, port: 82, targetPort: 1}")],
                [("a", 81, 1)],
                id="of two ports of a service the first",
            ),
            pytest.param(
                [service("a", HTTP), service("b", "{port: 90}")], [("b", 90, 90), ("a", 80, 8080)], id="sorted by port"
            ),
        ],
    )
    def test_services_that_select_the_pod(self, services, expected):
        assert targets(World(POD, *services)) == expected

    def test_a_service_without_selector_counts_where_its_slices_list_the_pod(self):
        world = World(POD, service("a", "{name: http, port: 80}", selector="{}"))
        world.put(endpoint_slice("shop", "a", "10.1.0.1", port=9090))
        assert targets(world) == [("a", 80, 9090)]

    def test_it_does_not_beside_one_that_selects_it(self):
        world = World(POD, service("a", "{name: http, port: 80}", selector="{}"), service("b", HTTP))
        world.put(endpoint_slice("shop", "a", "10.1.0.1", port=9090))
        assert targets(world) == [("b", 80, 8080)]

    def test_of_an_unknown_pod_the_metadata_tells(self):
        told = {"LABELS": {"app": "web"}, "POD_PORTS": '[{"name":"web","containerPort":7070}]'}
        assert targets(World(service("a", HTTP)), **told) == [("a", 80, 7070)]

    def test_of_a_known_pod_it_does_not(self):
        told = {"LABELS": {"app": "other"}, "POD_PORTS": '[{"name":"web","containerPort":7070}]'}
        assert targets(World(POD, service("a", HTTP)), **told) == [("a", 80, 8080)]

    @pytest.mark.parametrize(
        ("spec", "expected"),
        [
            pytest.param("workloadSelector: {labels: {app: web}}", [("api", 80, 9090)], id="that select it"),
            pytest.param("workloadSelector: {labels: {app: x}}", [], id="that select others"),
            pytest.param("endpoints: [{address: 10.1.0.1}]", [("api", 80, 9090)], id="that list its address"),
            pytest.param(
                "endpoints: [{address: 10.1.0.1, ports: {http: 1}}]", [("api", 80, 1)], id="that list its port"
            ),
            pytest.param("endpoints: [{address: 10.1.0.2}]", [], id="that list others"),
        ],
    )
    def test_service_entries(self, spec, expected):
        text = f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: e, namespace: shop}}
spec:
  hosts: [api.com]
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: 9090}}]
  {spec}
"""
        assert targets(World(POD, text)) == expected

    def test_a_workload_entry_of_its_address(self):
        vm = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: shop}
spec: {address: 10.2.0.1, labels: {app: web}, ports: {web: 7070}}
"""
        assert targets(World(vm, service("a", HTTP)), pod="vm.shop", ip="10.2.0.1") == [("a", 80, 7070)]


class TestSharing:
    """Facets are keyed by what was selected, not by who is asking."""

    def test_replicas_share_every_facet(self):
        world = World(kube_service("shop", "web"))
        for number in (1, 2):
            world.put(pod("shop", f"web-{number}", f"10.1.0.{number}", app="web"))
        assert world.view("web-1.shop", "10.1.0.1") == world.view("web-2.shop", "10.1.0.2")

    def test_workloads_that_nothing_tells_apart_share_all_but_their_inbound(self):
        world = World(kube_service("shop", "web"), pod("shop", "web-1", "10.1.0.1", app="web"))
        world.put(pod("shop", "other-1", "10.1.0.2", app="other"))
        one, other = world.view("web-1.shop", "10.1.0.1"), world.view("other-1.shop", "10.1.0.2")
        assert one.inbound != other.inbound
        assert one._replace(inbound=other.inbound) == other

    def test_a_sidecar_that_only_takes_traffic_does_not_part_the_scope(self):
        world = World(sidecar("shop", "s", ingress=(IstioIngressListener(port=SidecarPort(number=80)),)))
        taken = world.view("web-1.shop")
        assert taken.inbound.sidecar == Ref("Sidecar", "shop", "s")
        assert taken.scope == World().view("web-1.shop").scope


class TestPlace:
    def test_the_registry_knows_better_than_the_proxy(self):
        world = World(POD, NODE)
        assert world.view("web-1.shop").place.locality == Locality("eu", "eu-1")

    def test_nodes_are_told_apart_only_where_a_service_stays_on_its_node(self):
        world = World(POD)
        assert world.view("web-1.shop").place == Place()
        spec = KubeService(ports=(KubeServicePort(port=80),), internal_traffic_policy="Local")
        world.put(Resource(Ref("Service", "a", "b"), Meta(name="b", namespace="a"), spec))
        assert world.view("web-1.shop").place.node == "n1"

    def test_labels_are_told_apart_only_where_failover_looks_at_them(self):
        rule = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: r, namespace: shop}
spec:
  host: web
  subsets:
  - name: v1
    labels: {version: v1}
    trafficPolicy: {loadBalancer: {localityLbSetting: {failoverPriority: [app=web, rack]}}}
"""
        world = World(POD)
        assert world.view("web-1.shop").place.labels == ()
        world.put(rule)
        assert world.view("web-1.shop").place.labels == (("app", "web"),)


class TestListening:
    @pytest.mark.parametrize(
        ("metadata", "expected"),
        [
            pytest.param({}, Listening(), id="nothing said"),
            pytest.param({"INTERCEPTION_MODE": "TPROXY"}, Listening(mode="TPROXY"), id="a mode of capture"),
            pytest.param(
                {"IDLE_TIMEOUT": "1m30s"}, Listening(idle_timeout=timedelta(seconds=90)), id="an idle timeout"
            ),
            pytest.param({"HTTP_PROXY_PORT": "15080"}, Listening(http_proxy_port=15080), id="an HTTP proxy"),
            pytest.param(
                {"ENVOY_STATUS_PORT": "15121"}, Listening(reserved=(15001, 15006, 15121, 15090)), id="a reserved port"
            ),
        ],
    )
    def test_what_the_proxy_says(self, metadata, expected):
        assert World().view("web-1.shop", **metadata).listening == expected

    def test_a_malformed_idle_timeout_is_a_finding(self):
        world = World()
        assert world.view("web-1.shop", IDLE_TIMEOUT="soon").listening == Listening()
        assert world.codes(view, "sidecar~10.9.9.9~web-1.shop~shop.svc.cluster.local") == [("PP0102", None)]

    def test_addresses_matter_only_to_those_who_bind_to_them(self):
        assert World().view("web-1.shop").inbound.address == ""
        assert World().view("web-1.shop", INTERCEPTION_MODE="NONE").inbound.address == "10.9.9.9"


class TestAProxyToWhichNobodyHandsACertificate:
    @pytest.mark.parametrize(
        ("insisted", "left"),
        [
            pytest.param("PERMISSIVE", Mode.DISABLE, id="offers mutual TLS to nobody"),
            pytest.param("STRICT", Mode.STRICT, id="stays shut where mutual TLS is insisted on"),
        ],
    )
    def test_ends_no_mutual_tls(self, insisted, left):
        world = World(peer_authentication("shop", "s", insisted))
        assert world.view("web-1.shop", KEYLESS="true").inbound.modes.mode is left
        assert world.view("web-2.shop").inbound.modes.mode is Mode[insisted]

    @pytest.mark.parametrize(
        ("insisted", "codes"),
        [
            pytest.param("PERMISSIVE", [("PP0103", None)], id="is told where its peers speak mutual TLS"),
            pytest.param("DISABLE", [], id="lacks nothing where nobody does"),
        ],
    )
    def test_says_so(self, insisted, codes):
        world = World(peer_authentication("shop", "s", insisted))
        assert world.view("web-1.shop", KEYLESS="true").features.keyless
        assert world.codes(view, "sidecar~10.9.9.9~web-1.shop~shop.svc.cluster.local") == codes


def test_features_of_the_envoy():
    assert World().view("web-1.shop", ISTIO_VERSION="1.27.1", DNS_CAPTURE="true").features == Features(
        minor=27, dns_capture=True
    )
    assert World().view("web-1.shop", INSTANCE_IPS="10.0.0.1,fd00::1").features == Features(istio=False, ipv6=True)


def test_a_gateway_has_no_inbound_and_no_sidecar():
    world = World(POD, service("a", HTTP), sidecar("shop", "s", "./*"), kube_service("bank", "c"))
    sidecar_ = proxy_from_node("sidecar~10.1.0.1~web-1.shop~shop.svc.cluster.local", {})
    world.engine.apply([Put(PROXIES, ("gateway",), msgspec.structs.replace(sidecar_, type="router"))])
    found = world.engine.ask(view, "gateway")
    assert found.inbound.targets == ()
    assert {part.namespace for part in found.scope.parts} == {"bank", "shop"}


def test_a_proxy_that_was_never_announced():
    with pytest.raises(LookupError):
        World().engine.ask(view, "who")
