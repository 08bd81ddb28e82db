"""From a write at a real API server to requests that real Envoys route differently.

The lab is the cluster's controllers, scheduler and kubelet (`pilotpy.lab.cluster`); what it writes there comes back
through the watches of `pilotpy serve --kubernetes`, as do the routes. The API server is outside of it.
"""

import contextlib
import signal
from datetime import timedelta

import pytest
import yaml

from pilotpy.lab import commands
from pilotpy.lab.cluster.reach import somebodys
from tests.kube.cluster import Cluster, Refused, path_of
from tests.kube.waiting import eventually
from tests.lab.conftest import lab, namespaces  # noqa: F401 - fixtures
from tests.lab.requests import app, assert_share, load

pytestmark = [pytest.mark.lab, pytest.mark.envoy, pytest.mark.timeout(240)]

NETWORKING = "networking.istio.io/v1"


def manifests(text):
    return [one for one in yaml.safe_load_all(text) if one]


def rule(kind, namespace, spec):
    return {
        "apiVersion": NETWORKING,
        "kind": kind,
        "metadata": {"namespace": namespace, "name": "server"},
        "spec": spec,
    }


def to(subset, **more):
    return {"destination": {"host": "server", "subset": subset}} | more


@pytest.fixture(scope="module")
def cluster(kube_assets, tmp_path_factory):
    """A cluster of its own: the lab's control plane is the one of istio-system."""
    cluster = Cluster(kube_assets, tmp_path_factory.mktemp("lab-cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


class Mesh:
    """A namespace of the cluster whose Pods really run."""

    def __init__(self, cluster, lab, namespace):  # noqa: F811 - of the fixture
        self.cluster = cluster
        self.namespace = namespace
        self.run, self.curl, self.home = lab.run, lab.curl, lab.home

    def create(self, text, namespace=""):
        for one in manifests(text):
            one["metadata"]["namespace"] = namespace or self.namespace
            self.cluster.admin.create(one)

    def in_namespace(self, collection, namespace=""):
        path = f"/api/v1/namespaces/{namespace or self.namespace}/{collection}"
        return self.cluster.admin.request("GET", path)["items"]

    def rule(self, kind, spec):
        """Write a rule about the server, be it there or not."""
        one = rule(kind, self.namespace, None)
        with contextlib.suppress(Refused):
            self.cluster.admin.delete(one)
        return eventually(lambda: self.cluster.admin.create(one | {"spec": spec}))  # kinds are served soon, not at once

    def pods(self, prefix):
        return [one for one in self.in_namespace("pods") if is_called(one, prefix)]

    def logs(self):
        return "".join(file.read_text()[-3000:] for file in sorted((self.home / "pilotpy").glob("*.log")))


def is_called(one, prefix):
    return one["metadata"]["name"].startswith(prefix)


@pytest.fixture(scope="module")
def mesh(lab, cluster):  # noqa: F811 - the fixture
    """Two servers and a client, once all are ready; and something in a namespace that takes no part."""
    namespace = cluster.namespace("mesh-", **{"istio-injection": "enabled"})
    made = Mesh(cluster, lab, namespace)
    made.create(app("client") + app("server", "v1") + app("server", "v2").split("---")[0])
    made.elsewhere = cluster.namespace("not-ours-")
    made.create(app("other"), made.elsewhere)
    reach = somebodys(cluster.kubeconfig, "", unguarded=False)
    commands.up_detached([], patience=timedelta(seconds=90), reach=reach)
    eventually(lambda: is_settled(3), patience=60, words=made.logs)
    made.rule("DestinationRule", {"host": "server", "subsets": [subset("v1"), subset("v2")]})
    return made


def answered(mesh, *arguments):
    """Which versions answer a few requests of the client."""
    return {mesh.curl("client-v1", *arguments, "http://server/")["version"] for _ in range(6)}


def subset(name):
    return {"name": name, "labels": {"version": name}}


def is_settled(pods):
    found = commands.status()
    return found is not None and found.settled and len(found.pods) == pods


def test_requests_go_from_pod_to_pod_by_what_the_cluster_says(mesh):
    (pod,) = mesh.pods("server-v1-")
    assert pod["status"]["phase"] == "Running"
    mesh.rule("VirtualService", {"hosts": ["server"], "http": [{"route": [to("v1")]}]})
    eventually(lambda: answered(mesh) == {"v1"})
    said = mesh.curl("client-v1", "http://server/hello")
    assert (said["pod"], said["address"]) == (pod["metadata"]["name"], pod["status"]["podIP"])
    certificate = said["headers"]["x-forwarded-client-cert"]
    assert f"URI=spiffe://cluster.local/ns/{mesh.namespace}/sa/default" in certificate


@pytest.mark.parametrize(("first", "second"), [(90, 10), (5, 95)])
def test_a_split_that_is_written_is_followed(mesh, first, second):
    route = [to("v1", weight=first), to("v2", weight=second)]
    headers = {"request": {"set": {"x-split": f"{first}-{second}"}}}
    mesh.rule("VirtualService", {"hosts": ["server"], "http": [{"headers": headers, "route": route}]})
    eventually(lambda: mesh.curl("client-v1", "http://server/")["headers"].get("x-split") == f"{first}-{second}", 2)
    with load("client-v1", "http://server/", 4) as result:
        pass
    assert result["failures"] == []
    assert_share(result["counts"].get("v2", 0), sum(result["counts"].values()), second / 100)


def test_a_header_chooses_once_the_rule_is_there_and_no_longer_once_it_is_gone(mesh):
    tester = {"match": [{"headers": {"end-user": {"exact": "tester"}}}], "route": [to("v2")]}
    made = mesh.rule("VirtualService", {"hosts": ["server"], "http": [tester, {"route": [to("v1")]}]})
    eventually(lambda: answered(mesh) == {"v1"})
    assert answered(mesh, "-H", "end-user: tester") == {"v2"}
    mesh.cluster.admin.delete(made)
    eventually(lambda: answered(mesh, "-H", "end-user: tester") == {"v1", "v2"})


def test_routes_written_while_the_control_plane_is_away_are_followed_once_it_is_back(mesh):
    mesh.rule("VirtualService", {"hosts": ["server"], "http": [{"route": [to("v1")]}]})
    eventually(lambda: answered(mesh) == {"v1"})
    commands.plane(up=False)
    with load("client-v1", "http://server/", 12) as result:
        mesh.rule("VirtualService", {"hosts": ["server"], "http": [{"route": [to("v2")]}]})
        assert answered(mesh) == {"v1"}, "nobody has told the proxies"
        commands.plane(up=True)
        eventually(lambda: answered(mesh) == {"v2"}, patience=40)
    assert result["failures"] == []


def test_nothing_changes_while_the_api_server_is_away_and_what_is_written_after_it_is_followed(mesh):
    mesh.rule("VirtualService", {"hosts": ["server"], "http": [{"route": [to("v1")]}]})
    eventually(lambda: answered(mesh) == {"v1"})
    mesh.cluster.server.stop(signal.SIGKILL)
    try:
        with load("client-v1", "http://server/", 4) as result:
            pass
    finally:
        mesh.cluster.server.start()
    assert result["failures"] == []
    assert result["counts"].keys() == {"v1"}
    mesh.rule("VirtualService", {"hosts": ["server"], "http": [{"route": [to("v2")]}]})
    eventually(lambda: answered(mesh) == {"v2"}, patience=40)


def test_a_rolling_update_drops_no_request(mesh):
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment"}
    deployment["metadata"] = {"namespace": mesh.namespace, "name": "server-v1"}
    route = [to("v1", weight=50), to("v2", weight=50)]
    mesh.rule("VirtualService", {"hosts": ["server"], "http": [{"route": route}]})
    (before,) = mesh.pods("server-v1-")
    with load("client-v1", "http://server/", 12) as result:
        container = {"name": "app", "image": "example/newer", "ports": [{"containerPort": 8080}]}
        template = {"spec": {"containers": [container]}}
        mesh.cluster.admin.patch(deployment, {"spec": {"replicas": 2, "template": template}})

        def replaced():
            names = {one["metadata"]["name"] for one in mesh.pods("server-v1-")}
            return is_settled(4) and len(names) == 2 and before["metadata"]["name"] not in names

        eventually(replaced, patience=40, words=mesh.logs)
    assert result["failures"] == []
    assert sum(result["counts"].values()) > 500


def deployment_of(mesh, name):
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": mesh.namespace, "name": name}}


def is_available(mesh, name, replicas):
    """As `kubectl rollout status` decides it."""
    one = mesh.cluster.admin.read(deployment_of(mesh, name))
    status = one.get("status", {})
    counts = {status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")}
    return status.get("observedGeneration") == one["metadata"]["generation"] and counts == {replicas}


def test_scaling_starts_and_stops_real_pods_and_the_status_says_so(mesh):
    for replicas in (3, 1):
        mesh.cluster.admin.patch(deployment_of(mesh, "server-v2"), {"spec": {"replicas": replicas}})
        eventually(lambda replicas=replicas: is_available(mesh, "server-v2", replicas), patience=40, words=mesh.logs)
        eventually(lambda replicas=replicas: len(mesh.pods("server-v2-")) == replicas, patience=40, words=mesh.logs)
        known = {one.name for one in commands.status().pods if one.state == "ready"}
        assert {one["metadata"]["name"] for one in mesh.pods("server-v2-")} <= known


def test_a_pod_that_is_deleted_drops_no_request_and_another_takes_its_place(mesh):
    mesh.rule("VirtualService", {"hosts": ["server"], "http": [{"route": [to("v1")]}]})
    mesh.cluster.admin.patch(deployment_of(mesh, "server-v1"), {"spec": {"replicas": 2}})
    eventually(lambda: is_available(mesh, "server-v1", 2), patience=40, words=mesh.logs)
    eventually(lambda: answered(mesh) == {"v1"})
    victim = {"apiVersion": "v1", "kind": "Pod"} | mesh.pods("server-v1-")[0]
    with load("client-v1", "http://server/", 10) as result:
        mesh.cluster.admin.request("DELETE", path_of(victim), {"gracePeriodSeconds": 30})
        eventually(lambda: uid_of(mesh, victim) not in {"", victim["metadata"]["uid"]}, patience=30, words=mesh.logs)
        eventually(lambda: is_available(mesh, "server-v1", 2), patience=30, words=mesh.logs)
    assert result["failures"] == []
    assert result["counts"].keys() == {"v1"}


def uid_of(mesh, pod):
    return next((one["metadata"]["uid"] for one in mesh.pods(pod["metadata"]["name"])), "")


def test_a_pod_that_somebody_writes_is_scheduled_and_ends_with_its_deletion(mesh):
    container = {"name": "app", "image": "example/app", "ports": [{"containerPort": 8080}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": mesh.namespace, "name": "alone"}}
    mesh.cluster.admin.create(pod | {"spec": {"containers": [container]}})
    eventually(lambda: is_ready(mesh.cluster.admin.read(pod)), patience=40, words=mesh.logs)
    assert mesh.cluster.admin.read(pod)["spec"]["nodeName"] == "pilotpy-lab"
    assert mesh.run("alone", "cat", "/etc/hosts")
    mesh.cluster.admin.request("DELETE", path_of(pod), {"gracePeriodSeconds": 30})
    eventually(lambda: not mesh.pods("alone"), patience=40, words=mesh.logs)
    eventually(lambda: "alone" not in {one.name for one in commands.status().pods}, words=mesh.logs)


def is_ready(pod):
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))


def test_nothing_is_made_in_a_namespace_that_was_not_labelled_for_it(mesh):
    assert mesh.in_namespace("pods", mesh.elsewhere) == []
    assert mesh.in_namespace("serviceaccounts", mesh.elsewhere) == []


def test_what_belonged_to_a_deployment_goes_with_it(mesh):
    mesh.cluster.admin.delete(deployment_of(mesh, "server-v2"))
    eventually(lambda: not mesh.pods("server-v2-"), patience=40, words=mesh.logs)
    sets = f"/apis/apps/v1/namespaces/{mesh.namespace}/replicasets"
    left = [one for one in mesh.cluster.admin.request("GET", sets)["items"] if is_called(one, "server-v2-")]
    assert left == []


def test_a_lab_that_leaves_takes_what_it_made_with_it_and_leaves_what_somebody_wrote(mesh):
    assert mesh.pods("server-v1-")
    commands.down()
    assert mesh.pods("") == []
    (node,) = mesh.cluster.admin.request("GET", "/api/v1/nodes")["items"]
    assert not is_ready(node)
    assert mesh.cluster.admin.read(deployment_of(mesh, "server-v1"))["spec"]["replicas"] == 2
