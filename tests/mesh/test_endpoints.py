import pytest

from pilotpy.mesh.endpoints import endpoints
from pilotpy.mesh.service import Health, Locality, ServiceKey
from tests.mesh.world import World, endpoint_slice, key, kube_service, pod

WEB = key("shop", "web")


def behind(world, port="http", service=WEB):
    return world.engine.ask(endpoints, service, port)


def places(world, port="http", service=WEB):
    return [(endpoint.address, endpoint.port) for endpoint in behind(world, port, service)]


def test_endpoints_are_sorted_and_each_place_comes_once():
    world = World(kube_service("shop", "web"), endpoint_slice("shop", "web", "10.1.0.2", "10.1.0.1", "10.1.0.2"))
    assert places(world) == [("10.1.0.1", 8080), ("10.1.0.2", 8080)]


def test_a_service_without_slices_has_no_endpoints():
    assert places(World(kube_service("shop", "web"))) == []


def test_a_port_that_nobody_serves_has_no_endpoints():
    assert places(World(kube_service("shop", "web"), endpoint_slice("shop", "web", "10.1.0.1")), "other") == []


def test_names_among_the_endpoints_are_passed_over_and_told_once():
    world = World(
        endpoint_slice("shop", "web", "10.1.0.1"),
        """
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: web}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}, {name: other, port: 81}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: shop, name: web-names, labels: {kubernetes.io/service-name: web}}
addressType: FQDN
endpoints: [{addresses: [backend.example]}]
ports: [{name: http, port: 80}]
""",
    )
    assert places(world) == [("10.1.0.1", 8080)]
    notes = {note for port in ("http", "other") for note in world.engine.notes(endpoints, WEB, port)}
    assert [(note.code, note.ref.name) for note in notes] == [("PP0008", "web-names")]


LISTED_BEFORE_THEIR_POD = {
    "in a slice": """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: shop, name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
- {addresses: [10.1.0.1], targetRef: {kind: Pod, name: web-1, namespace: shop}}
- {addresses: [10.1.0.2]}
ports: [{name: http, port: 8080}]
""",
    "in the older form": """
apiVersion: v1
kind: Endpoints
metadata: {namespace: shop, name: web}
subsets:
- addresses: [{ip: 10.1.0.1, targetRef: {kind: Pod, name: web-1, namespace: shop}}, {ip: 10.1.0.2}]
  ports: [{name: http, port: 8080}]
""",
}


@pytest.mark.parametrize("listed", LISTED_BEFORE_THEIR_POD.values(), ids=LISTED_BEFORE_THEIR_POD)
def test_an_endpoint_waits_for_its_pod_which_says_how_it_is_spoken_to(listed):
    world = World(kube_service("shop", "web"), listed)
    assert places(world) == [("10.1.0.2", 8080)]
    (note,) = world.engine.notes(endpoints, WEB, "http")
    assert (note.code, note.message) == ("PP0312", "An endpoint is left out: its Pod web-1 is not known")
    world.put(pod("shop", "web-1", "10.1.0.1"))
    assert places(world) == [("10.1.0.1", 8080), ("10.1.0.2", 8080)]
    assert not world.engine.notes(endpoints, WEB, "http")


def test_the_pod_behind_an_address_says_the_rest():
    world = World(
        kube_service("shop", "web"),
        endpoint_slice("shop", "web", "10.1.0.1"),
        """
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: eu-1}}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-5d8f-x2
  namespace: shop
  labels: {app: web, pod-template-hash: 5d8f}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-5d8f, uid: u, controller: true}]
spec: {serviceAccountName: seller, nodeName: n1, hostname: web-0, subdomain: web, containers: []}
status: {podIP: 10.1.0.1}
""",
    )
    (found,) = behind(world)
    assert found.service_account == "spiffe://cluster.local/ns/shop/sa/seller"
    assert found.locality == Locality("eu", "eu-1")
    assert found.node == "n1"
    assert found.workload == "web"
    assert (found.hostname, found.subdomain) == ("web-0", "web")
    assert dict(found.labels) == {
        "app": "web",
        "pod-template-hash": "5d8f",
        "topology.kubernetes.io/region": "eu",
        "topology.kubernetes.io/zone": "eu-1",
        "topology.istio.io/cluster": "Kubernetes",
        "kubernetes.io/hostname": "n1",
    }


def test_a_pod_may_say_its_own_locality():
    world = World(kube_service("shop", "web"), endpoint_slice("shop", "web", "10.1.0.1"))
    world.put(pod("shop", "web-1", "10.1.0.1", **{"istio-locality": "eu.eu-2.rack1"}))
    assert behind(world)[0].locality == Locality("eu", "eu-2", "rack1")


@pytest.mark.parametrize(
    ("conditions", "publish", "expected"),
    [
        pytest.param("{}", False, [Health.HEALTHY], id="nothing said is ready"),
        pytest.param("{ready: true}", False, [Health.HEALTHY], id="ready"),
        pytest.param("{ready: false, terminating: false}", False, [Health.UNHEALTHY], id="not ready yet"),
        pytest.param("{ready: false, terminating: true}", False, [], id="terminating"),
        pytest.param("{ready: false}", False, [], id="not ready and silent about terminating"),
        pytest.param("{ready: false}", True, [Health.HEALTHY], id="published though not ready"),
    ],
)
def test_readiness(conditions, publish, expected):
    world = World(
        f"""
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{publishNotReadyAddresses: {str(publish).lower()}, ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
endpoints: [{{addresses: [10.1.0.1], conditions: {conditions}}}]
ports: [{{name: http, port: 8080}}]
"""
    )
    assert [endpoint.health for endpoint in behind(world)] == expected


def test_an_endpoint_that_drains_is_kept_for_its_sessions():
    world = World(
        """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {istio.io/persistent-session: cookie}}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
- {addresses: [10.1.0.1], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.1.0.2], conditions: {ready: false, serving: false, terminating: true}}
ports: [{name: http, port: 8080}]
"""
    )
    assert [(e.address, e.health) for e in behind(world)] == [("10.1.0.1", Health.DRAINING)]


def test_the_older_endpoints_count_where_there_are_no_slices():
    older = """
apiVersion: v1
kind: Endpoints
metadata: {name: web, namespace: shop}
subsets:
- addresses: [{ip: 10.1.0.1}]
  notReadyAddresses: [{ip: 10.1.0.2}]
  ports: [{name: http, port: 9090}]
"""
    world = World(kube_service("shop", "web"), older)
    assert places(world) == [("10.1.0.1", 9090)]
    world.put(endpoint_slice("shop", "web", "10.1.0.3"))
    assert places(world) == [("10.1.0.3", 8080)]


def entry(spec):
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: api, namespace: shop}}
spec: {{hosts: [api.com], ports: [{{number: 80, name: http, protocol: HTTP, targetPort: 8080}}], {spec}}}
"""


VM = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: shop}
spec:
  address: 10.2.0.1
  labels: {app: api}
  ports: {http: 7070}
  locality: eu/eu-1
  weight: 5
  serviceAccount: seller
"""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param("resolution: DNS", [("api.com", 8080)], id="DNS alone means the host itself"),
        pytest.param(
            "resolution: DNS, endpoints: [{address: b.com}]", [("b.com", 8080)], id="DNS with names of endpoints"
        ),
        pytest.param(
            "resolution: STATIC, endpoints: [{address: 1.1.1.1, ports: {http: 7070}}, {address: 2.2.2.2}]",
            [("1.1.1.1", 7070), ("2.2.2.2", 8080)],
            id="an endpoint may have a port of its own",
        ),
        pytest.param("resolution: STATIC, endpoints: [{address: name.com}]", [], id="a name is no static address"),
        pytest.param(
            "resolution: STATIC, endpoints: [{address: 'unix:///run/api'}]",
            [("unix:///run/api", 0)],
            id="a socket has no port",
        ),
        pytest.param(
            "resolution: STATIC, workloadSelector: {labels: {app: api}}",
            [("10.1.0.1", 8080), ("10.2.0.1", 7070)],
            id="selected Pods and WorkloadEntries",
        ),
        pytest.param("resolution: STATIC", [], id="nothing listed"),
    ],
)
def test_endpoints_of_a_service_entry(spec, expected):
    world = World(entry(spec), VM, pod("shop", "a-1", "10.1.0.1", app="api"), pod("shop", "b-1", "10.1.0.2", app="b"))
    assert places(world, service=ServiceKey("shop", "api.com")) == expected


def test_a_workload_entry_says_who_and_where_it_is():
    world = World(entry("resolution: STATIC, workloadSelector: {labels: {app: api}}"), VM)
    (found,) = behind(world, service=ServiceKey("shop", "api.com"))
    assert found.locality == Locality("eu", "eu-1")
    assert found.weight == 5
    assert found.service_account == "spiffe://cluster.local/ns/shop/sa/seller"


def test_a_kubernetes_service_selects_workload_entries_too():
    world = World(kube_service("shop", "api"), VM)
    assert places(world, service=key("shop", "api")) == [("10.2.0.1", 7070)]


def test_an_edit_of_another_pod_is_not_noticed():
    world = World(kube_service("shop", "web"), endpoint_slice("shop", "web", "10.1.0.1"))
    world.put(pod("shop", "web-1", "10.1.0.1", app="web"), pod("shop", "x", "10.1.0.2"))
    behind(world)
    before = world.engine.work.copy()
    world.put(pod("shop", "x", "10.1.0.2", app="x"))
    behind(world)
    assert world.engine.work.since(before).runs == 0


CHECKED = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: vm, namespace: shop, annotations: {{{annotations}}}}}
spec: {{address: 10.9.0.1, labels: {{app: web}}, ports: {{http: 8080}}}}
status: {{conditions: [{conditions}]}}
"""
HEALTHY = '{{type: Healthy, status: "{}"}}'


@pytest.mark.parametrize(
    ("checked", "conditions", "expected"),
    [
        pytest.param("", "", Health.HEALTHY, id="nobody checks"),
        pytest.param("", HEALTHY.format("False"), Health.UNHEALTHY, id="a check went wrong"),
        pytest.param("true", "", Health.UNHEALTHY, id="no check has gone well yet"),
        pytest.param("true", HEALTHY.format("True"), Health.HEALTHY, id="a check went well"),
        pytest.param("", '{type: Other, status: "False"}', Health.HEALTHY, id="something else is not so"),
    ],
)
def test_the_health_of_a_workload_entry_is_as_its_status_says(checked, conditions, expected):
    annotations = f'proxy.istio.io/health-checks-enabled: "{checked}"' if checked else ""
    entry = CHECKED.format(annotations=annotations, conditions=conditions)
    assert [one.health for one in behind(World(kube_service("shop", "web"), entry))] == [expected]
