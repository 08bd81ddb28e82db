"""Pages about the mesh: what is known of it, in the JSON that istioctl and Kiali read."""

import asyncio
import json

import pytest

from pilotpy.compile.encoded import Encoded, Tree
from pilotpy.schema.decode import decode_object
from pilotpy.xds.debug_mesh import MeshPages
from tests.mesh.world import World, resources

MESH = """
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: default, labels: {app: shop}}
spec:
  clusterIP: 10.0.0.7
  selector: {app: shop}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: shop-1, namespace: default, labels: {kubernetes.io/service-name: shop}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.1.0.1], conditions: {ready: true}}, {addresses: [10.1.0.2], conditions: {ready: true}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out, namespace: other}
spec:
  hosts: [api.example.com]
  ports: [{number: 443, name: tls, protocol: TLS}]
  location: MESH_EXTERNAL
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default, labels: {a: b}}
spec: {hosts: [shop], http: [{timeout: 1.5s, route: [{destination: {host: shop}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: none, namespace: default}
spec: {action: DENY, rules: [{}]}
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: all, namespace: istio-system}
spec: {accessLogging: [{providers: [{name: envoy}]}]}
"""


@pytest.fixture
def world():
    return World(MESH)


def page(world, name, *arguments, held=()):
    """A page as it comes out of JSON."""
    return json.loads(json.dumps(asyncio.run(getattr(MeshPages(world.engine, lambda: held), name)(*arguments))))


def test_every_service_is_listed_as_istiod_lists_it(world):
    shop, out = page(world, "registryz")
    assert shop["hostname"] == "shop.default.svc.cluster.local"
    assert shop["ports"] == [{"name": "http", "port": 80, "protocol": "HTTP"}]
    assert shop["clusterVIPs"] == {"Addresses": {"Kubernetes": ["10.0.0.7"]}}
    assert (shop["defaultAddress"], shop["Resolution"], shop["MeshExternal"]) == ("10.0.0.7", 0, False)
    assert shop["Attributes"]["LabelSelectors"] == {"app": "shop"}
    assert shop["Attributes"]["ServiceRegistry"] == "Kubernetes"
    assert (out["hostname"], out["Resolution"], out["MeshExternal"]) == ("api.example.com", 1, True)
    assert out["Attributes"]["Namespace"] == "other"


def test_endpoints_are_in_shards_by_registry_and_cluster(world):
    found = page(world, "endpointz")["shop.default.svc.cluster.local"]["default"]
    assert list(found["Shards"]) == ["Kubernetes/Kubernetes"]
    endpoints = found["Shards"]["Kubernetes/Kubernetes"]
    assert [(one["Addresses"], one["EndpointPort"], one["HealthStatus"]) for one in endpoints] == [
        (["10.1.0.1"], 8080, 1),
        (["10.1.0.2"], 8080, 1),
    ]


def test_configuration_is_shown_as_it_may_have_been_written(world):
    found = page(world, "configz")
    assert [one["kind"] for one in found] == ["AuthorizationPolicy", "ServiceEntry", "Telemetry", "VirtualService"]
    route = found[-1]
    assert (route["apiVersion"], route["metadata"]["labels"]) == ("networking.istio.io/v1", {"a": "b"})
    assert route["spec"]["http"][0]["timeout"] == "1.5s"
    written = {one.ref: one for one in resources(MESH)}
    assert all(written[again.ref] == again for again in (decode_object(one).resource for one in found))


def test_a_key_that_an_issuer_shares_with_verifiers_is_not_shown():
    world = World("""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: shared, namespace: default}
spec:
  jwtRules: [{issuer: "https://issuer", jwks: '{"keys":[{"kty":"oct","kid":"one","k":"c2hhcmVk"}]}'}]
""")
    (shown,) = page(world, "configz")
    (rule,) = shown["spec"]["jwtRules"]
    assert rule == {"issuer": "https://issuer", "jwks": '{"keys":[{"kty":"oct","kid":"one","k":"[redacted]"}]}'}


def test_the_kinds_that_are_read_are_named(world):
    assert {"group": "networking.istio.io", "version": "v1", "kind": "VirtualService"} in page(world, "resourcesz")


def test_the_settings_in_force_are_shown_with_what_nobody_wrote(world):
    world.settings(root_namespace="root")
    found = page(world, "mesh")
    assert found["rootNamespace"] == "root"
    assert found["trustDomain"] == "cluster.local"
    assert found["connectTimeout"] == "10s"


def test_policies_are_by_namespace(world):
    policies = page(world, "authorizationz")["authorization_policies"]
    assert policies["root_namespace"] == "istio-system"
    (one,) = policies["namespace_to_policies"]["default"]
    assert (one["name"], one["spec"]["action"]) == ("none", "DENY")
    assert list(page(world, "telemetryz")["telemetries"]["namespace_to_telemetries"]) == ["istio-system"]


def test_a_proxy_is_told_by_what_it_serves_and_what_it_reaches(world):
    proxy = world.announce("sidecar~10.1.0.1~shop-1.default~default.svc.cluster.local", LABELS={"app": "shop"})
    (target,) = page(world, "instancesz", {"shop-1.default": proxy})["shop-1.default"]
    assert target["Service"]["hostname"] == "shop.default.svc.cluster.local"
    assert target["Port"] == {"name": "http", "port": 80, "protocol": "HTTP", "TargetPort": 8080}
    reached = page(world, "sidecarz", proxy)
    assert reached["name"] == "default-sidecar"
    assert [one["hostname"] for one in reached["services"]] == ["shop.default.svc.cluster.local", "api.example.com"]


def test_what_is_kept_compiled_is_counted_once(world):
    tree = Tree([Encoded("a", b"x" * 700), Encoded("b", b"y" * 700)])
    held = [("type/Cluster", tree), ("type/Cluster", tree), ("type/Listener", Tree([Encoded("l", b"z")]))]
    assert page(world, "cachez", held=held) == {"type/Cluster": ["a", "b"], "type/Listener": ["l"]}
    assert page(world, "cache_sizes", held=held) == {"type/Cluster": "1kB", "type/Listener": "1B", "total": "1kB"}


GATEWAYS = """
apiVersion: v1
kind: Service
metadata: {name: east-west, namespace: istio-system, labels: {topology.istio.io/network: east}}
spec: {type: LoadBalancer, ports: [{name: tls, port: 15443}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.7}, {hostname: east.example.com}]}}
"""


def test_gateways_to_other_networks_are_listed_once_their_names_are_resolved(world):
    world.put(GATEWAYS)
    (known,) = page(world, "networkz")
    assert (known["Network"], known["Addr"], known["Port"]) == ("east", "192.0.2.7", 15443)
    context = page(world, "pushcontext")
    assert context["NetworkGateways"] == [known]
    assert [one["Addr"] for one in context["UnresolvedGateways"]] == ["east.example.com"]
    assert list(context["AuthorizationPolicies"]["namespace_to_policies"]) == ["default"]


def test_clusters_are_listed_with_what_logs_in_to_them(world):
    followed = [("home", "", "synced"), ("east", "istio-system/remote", "timeout")]
    pages = MeshPages(world.engine, tuple, lambda: followed)
    assert asyncio.run(pages.clusterz()) == [
        {"id": "home", "secretName": "", "syncStatus": "synced"},
        {"id": "east", "secretName": "istio-system/remote", "syncStatus": "timeout"},
    ]
