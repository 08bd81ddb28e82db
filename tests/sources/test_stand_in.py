"""What a cluster would make of what a folder holds."""

from ipaddress import ip_address, ip_network

import pytest

from tests.sources.cluster import Cluster

TEMPLATE = """\
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec:
      containers: [{name: app, image: IMAGE, ports: [{name: web, containerPort: 8080}]}]
"""


def workload(kind="Deployment", name="a", image="one", spec=""):
    group = "batch" if kind == "Job" else "apps"
    template = TEMPLATE.replace("IMAGE", image)
    return f"---\napiVersion: {group}/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{spec}{template}"


def service(name="a", spec="selector: {app: a}, ports: [{port: 80, targetPort: web}]"):
    return f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"


def pod(name="p", more="", ip="", labels="app: a"):
    status = f"status: {{podIP: {ip}}}\n" if ip else ""
    return (
        f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{{labels}}}{more}}}\n"
        f"spec: {{containers: [{{name: app, ports: [{{name: web, containerPort: 9090}}]}}]}}\n{status}"
    )


def node(name, zone="z", more=""):
    labels = f"topology.kubernetes.io/zone: {zone}, name: {name}"
    return f"---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{{labels}}}}}\nspec: {{{more}}}\n"


@pytest.fixture
def cluster():
    return Cluster()


class TestPods:
    @pytest.mark.parametrize(
        ("kind", "spec", "count", "owner"),
        [
            ("Deployment", "", 1, "ReplicaSet"),
            ("Deployment", "  replicas: 3\n", 3, "ReplicaSet"),
            ("Deployment", "  replicas: 0\n", 0, ""),
            ("ReplicaSet", "  replicas: 2\n", 2, "ReplicaSet"),
            ("StatefulSet", "  serviceName: a\n  replicas: 2\n", 2, "StatefulSet"),
            ("DaemonSet", "", 1, "DaemonSet"),
            ("Job", "", 1, "Job"),
            ("Job", "  parallelism: 5\n  completions: 2\n", 2, "Job"),
            ("Job", "  suspend: true\n", 0, ""),
        ],
    )
    def test_a_workload_makes_as_many_as_it_wants(self, cluster, kind, spec, count, owner):
        cluster.write(workload(kind, spec=spec))
        assert len(cluster.pods) == count
        for made in cluster.pods.values():
            assert made.meta.labels["app"] == "a"
            assert [one.kind for one in made.meta.owners] == [owner]
            assert made.spec.status.phase == "Running"
            assert made.spec.containers[0].name == "app"

    def test_names_are_a_clusters_and_follow_from_the_template(self, cluster):
        cluster.write(workload(spec="  replicas: 2\n"))
        before = set(cluster.pods)
        hashes = {made.meta.labels["pod-template-hash"] for made in cluster.pods.values()}
        assert len(hashes) == 1
        assert all(name.startswith(f"a-{next(iter(hashes))}-") for name in before)
        cluster.write(workload(image="two", spec="  replicas: 2\n"))
        assert not before & set(cluster.pods)
        cluster.write(workload(spec="  replicas: 2\n"))
        assert set(cluster.pods) == before

    def test_more_replicas_leave_those_that_are_there(self, cluster):
        cluster.write(workload(spec="  replicas: 2\n"))
        before = dict(cluster.pods)
        assert len(cluster.write(workload(spec="  replicas: 3\n"))) == 2
        assert before.items() <= cluster.pods.items()

    def test_a_stateful_set_numbers_them_and_names_them_for_the_dns(self, cluster):
        cluster.write(workload("StatefulSet", spec="  serviceName: db\n  replicas: 2\n  ordinals: {start: 3}\n"))
        assert list(cluster.pods) == ["a-3", "a-4"]
        one = cluster.pods["a-3"]
        assert (one.spec.hostname, one.spec.subdomain) == ("a-3", "db")
        assert one.meta.labels["apps.kubernetes.io/pod-index"] == "3"

    def test_they_take_turns_on_the_nodes_that_they_may_run_on(self, cluster):
        cluster.write(node("n1") + node("n2") + node("n3", more="unschedulable: true"))
        cluster.write(workload(spec="  replicas: 4\n"))
        assert sorted(one.spec.node_name for one in cluster.pods.values()) == ["n1", "n1", "n2", "n2"]
        selecting = workload().replace("    spec:\n", "    spec:\n      nodeSelector: {name: n2}\n")
        cluster.write(selecting)
        assert [one.spec.node_name for one in cluster.pods.values()] == ["n2"]

    def test_a_daemon_set_has_one_on_every_node(self, cluster):
        cluster.write(workload("DaemonSet") + node("n1"))
        before = list(cluster.pods)
        cluster.write(node("n2"))
        assert sorted(one.spec.node_name for one in cluster.pods.values()) == ["n1", "n2"]
        cluster.remove("Node", "n1", namespace="")
        assert [one.spec.node_name for one in cluster.pods.values()] == ["n2"]
        assert before != list(cluster.pods)

    def test_a_written_one_gets_what_it_lacks_and_keeps_what_it_has(self, cluster):
        cluster.write(pod("p") + pod("q", ip="10.1.2.3"))
        assert ip_address(cluster.pods["p"].spec.status.pod_ip) in ip_network("10.44.0.0/16")
        assert cluster.pods["q"].spec.status.pod_ip == "10.1.2.3"
        assert cluster.pods["p"].spec.status.conditions[0].status == "True"

    def test_a_dump_of_a_cluster_has_none_twice(self, cluster):
        replica_set = workload("ReplicaSet", "a-77").replace(
            "{name: a-77}", "{name: a-77, ownerReferences: [{kind: Deployment, name: a, controller: true}]}"
        )
        owner = ", ownerReferences: [{kind: ReplicaSet, name: a-77, controller: true}]"
        for text in (replica_set, pod("a-77-x", owner, ip="10.1.2.3"), workload()):
            cluster.write(text)
        assert list(cluster.pods) == ["a-77-x"]
        cluster.remove("Pod", "a-77-x")
        assert [name.startswith("a-77") for name in cluster.pods] == [False]

    def test_a_dump_without_replica_sets_has_none_twice_either(self, cluster):
        owner = ", ownerReferences: [{kind: ReplicaSet, name: a-77, controller: true}]"
        cluster.write(workload() + pod("a-77-x", owner, labels="app: a, pod-template-hash: '77'"))
        assert list(cluster.pods) == ["a-77-x"]

    def test_more_than_anybody_can_mean_are_not_made(self, cluster):
        cluster.write(workload(spec="  replicas: 2000000000\n"))
        assert len(cluster.pods) == 10_000
        assert [(one.code, one.line) for one in cluster.stand_in.findings] == [("PP0003", 2)]
        cluster.write(workload(spec="  replicas: 2\n"))
        assert cluster.stand_in.findings == ()
        assert len(cluster.pods) == 2


class TestServices:
    @pytest.mark.parametrize(
        ("spec", "addresses"),
        [
            ("clusterIP: 10.9.8.7", ("10.9.8.7",)),
            ("clusterIP: None", ()),
            ("type: ExternalName, externalName: x.y", ()),
        ],
        ids=["given by hand", "headless", "a name elsewhere"],
    )
    def test_keeps_its_address(self, cluster, spec, addresses):
        cluster.write(service(spec=spec))
        assert cluster.of("Service")["a"].spec.cluster_ips == addresses

    @pytest.mark.parametrize(
        "spec", ["", "type: NodePort", "type: LoadBalancer"], ids=["ClusterIP", "node", "balancer"]
    )
    def test_gets_an_address(self, cluster, spec):
        cluster.write(service(spec=spec))
        spec = cluster.of("Service")["a"].spec
        assert ip_address(spec.cluster_ip) in ip_network("10.96.0.0/16")
        assert spec.cluster_ips == (spec.cluster_ip,)

    def test_gets_an_address_of_each_family_that_it_asks_for(self, cluster):
        cluster.write(service(spec="ipFamilies: [IPv6, IPv4]"))
        spec = cluster.of("Service")["a"].spec
        assert [ip_address(address).version for address in spec.cluster_ips] == [6, 4]
        assert spec.cluster_ip == spec.cluster_ips[0]

    def test_moves_out_of_an_address_that_is_given_to_another(self, cluster):
        cluster.write(service("a"))
        address = cluster.of("Service")["a"].spec.cluster_ip
        cluster.write(service("b", f"clusterIP: {address}"))
        assert cluster.of("Service")["b"].spec.cluster_ip == address
        assert cluster.of("Service")["a"].spec.cluster_ip not in {address, ""}

    def test_keeps_its_address_while_it_is_edited(self, cluster):
        cluster.write(service())
        before = cluster.of("Service")["a"].spec.cluster_ip
        cluster.write(service(spec="ports: [{port: 99}]"))
        assert cluster.of("Service")["a"].spec.cluster_ip == before


class TestEndpoints:
    def test_are_the_pods_that_the_service_selects(self, cluster):
        cluster.write(service() + workload(spec="  replicas: 2\n") + pod("other", labels="app: b"))
        assert set(cluster.endpoints("a")) == set(cluster.pods) - {"other"}

    def test_a_port_by_name_is_each_pods_own(self, cluster):
        cluster.write(service() + workload() + pod("p"))
        assert sorted(port for _, port in cluster.endpoints("a").values()) == [8080, 9090]
        assert len(cluster.of("EndpointSlice")) == 2

    def test_follow_the_labels_of_pods(self, cluster):
        cluster.write(service() + pod("p"))
        cluster.write(pod("p", labels="app: b"))
        assert cluster.endpoints("a") == {}
        assert "Service default/a" not in cluster.write(pod("p"))
        assert set(cluster.endpoints("a")) == {"p"}

    def test_are_not_made_where_somebody_wrote_them(self, cluster):
        given = (
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n"
            "metadata: {name: mine, labels: {kubernetes.io/service-name: a}}\nendpoints: [{addresses: [10.1.1.1]}]\n"
        )
        cluster.write(service() + pod("p"))
        cluster.write(given)
        assert list(cluster.of("EndpointSlice")) == ["mine"]
        cluster.remove("EndpointSlice", "mine")
        assert set(cluster.endpoints("a")) == {"p"}
        cluster.write("apiVersion: v1\nkind: Endpoints\nmetadata: {name: a}\nsubsets: [{addresses: [{ip: 1.2.3.4}]}]\n")
        assert cluster.of("EndpointSlice") == {}

    def test_are_not_made_for_a_service_without_selector(self, cluster):
        cluster.write(service(spec="ports: [{port: 80}]") + pod("p"))
        assert cluster.of("EndpointSlice") == {}

    def test_tell_node_and_zone(self, cluster):
        cluster.write(service() + node("n1", "west") + workload())
        (piece,) = cluster.of("EndpointSlice").values()
        assert (piece.spec.endpoints[0].node_name, piece.spec.endpoints[0].zone) == ("n1", "west")
        cluster.write(node("n1", "east"))
        (piece,) = cluster.of("EndpointSlice").values()
        assert piece.spec.endpoints[0].zone == "east"

    def test_of_a_stateful_set_have_host_names(self, cluster):
        cluster.write(service(spec="clusterIP: None, selector: {app: a}"))
        cluster.write(workload("StatefulSet", spec="  serviceName: a\n  replicas: 2\n"))
        (piece,) = cluster.of("EndpointSlice").values()
        assert [one.hostname for one in piece.spec.endpoints] == ["a-0", "a-1"]
        assert "service.kubernetes.io/headless" in piece.meta.labels

    def test_have_ipv6_addresses_if_a_service_asks_for_them_and_only_then(self, cluster):
        cluster.write(service("a") + pod("p"))
        assert len(cluster.pods["p"].spec.status.pod_ips) == 1
        cluster.write(service("six", "ipFamilies: [IPv6], selector: {app: a}"))
        ((address,),) = cluster.endpoints("six").values()
        assert ip_address(address).version == 6
        assert ip_address(cluster.endpoints("a")["p"][0]).version == 4
        cluster.remove("Service", "six")
        assert len(cluster.pods["p"].spec.status.pod_ips) == 1

    def test_of_pods_that_are_done_are_left_out(self, cluster):
        cluster.write(service() + pod("p") + "status: {phase: Succeeded}\n")
        assert cluster.of("EndpointSlice") == {}


def test_an_edit_touches_only_what_depends_on_it(cluster):
    for i in range(20):
        cluster.write(
            workload(name=f"w{i}").replace("app: a", f"app: a{i}")
            + service(f"s{i}", f"selector: {{app: a{i}}}, ports: [{{port: 80}}]")
        )
    touched = cluster.write(workload(name="w7", spec="  replicas: 2\n").replace("app: a", "app: a7"))
    assert [ref.split()[0] for ref in touched] == ["Deployment", "EndpointSlice", "Pod"]


def test_all_else_is_passed_on_as_it_is(cluster):
    text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
    assert cluster.write(text) == ["Namespace shop"]
    assert cluster.remove("Namespace", "shop", namespace="") == ["Namespace shop"]
    assert cluster.shown == {}
