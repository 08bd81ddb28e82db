"""From a write at a real API server to requests that real Envoys route differently.

The lab is the cluster's controllers, scheduler and kubelet (`controllers`, `lab`); what it writes there comes back
through the watches of `pilotpy serve --kubernetes`, as do the routes.
"""

import contextlib
import os
import signal
import subprocess
import sys

import pytest
import yaml

from pilotpy.kube.definitions import definitions
from pilotpy.lab import commands
from tests.kube.cluster import Cluster, Refused
from tests.kube.process import Program
from tests.kube.waiting import eventually
from tests.lab.conftest import lab, namespaces  # noqa: F401 - fixtures
from tests.lab.requests import app, assert_share, load

pytestmark = [pytest.mark.lab, pytest.mark.envoy, pytest.mark.timeout(240)]

NETWORKING = "networking.istio.io/v1"
UP = """
import sys
from pathlib import Path
from pilotpy.lab import commands
commands.up([Path(sys.argv[1])], module="tests.kube.lab", arguments=sys.argv[2:])
"""


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
        system = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}}
        kinds = [one for one in definitions() if one["spec"]["names"]["kind"] in {"VirtualService", "DestinationRule"}]
        cluster.admin.create(system, *kinds)
        yield cluster
    finally:
        cluster.stop()


class Mesh:
    """A namespace of the cluster whose Pods really run."""

    def __init__(self, cluster, lab, namespace):  # noqa: F811 - of the fixture
        self.cluster = cluster
        self.namespace = namespace
        self.run, self.curl, self.home = lab.run, lab.curl, lab.home

    def create(self, text):
        for one in manifests(text):
            one["metadata"]["namespace"] = self.namespace
            self.cluster.admin.create(one)

    def rule(self, kind, spec):
        """Write a rule about the server, be it there or not."""
        one = rule(kind, self.namespace, None)
        with contextlib.suppress(Refused):
            self.cluster.admin.delete(one)
        return eventually(lambda: self.cluster.admin.create(one | {"spec": spec}))  # kinds are served soon, not at once

    def pods(self, prefix):
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        return [one for one in self.cluster.admin.request("GET", path)["items"] if is_called(one, prefix)]

    def logs(self):
        return "".join(file.read_text()[-3000:] for file in sorted((self.home / "pilotpy").glob("*.log")))


def is_called(one, prefix):
    return one["metadata"]["name"].startswith(prefix)


@pytest.fixture(scope="module")
def mesh(lab, cluster, repository):  # noqa: F811 - the fixture
    """Two servers and a client, once all are ready."""
    namespace = cluster.namespace("mesh-")
    cluster.account(namespace, "default")
    made = Mesh(cluster, lab, namespace)
    made.create(app("client") + app("server", "v1") + app("server", "v2").split("---")[0])
    made.rule("DestinationRule", {"host": "server", "subsets": [subset("v1"), subset("v2")]})
    passage = cluster.folder / "passage"
    port = cluster.url.rpartition(":")[2]
    way = Program(
        [sys.executable, "-m", "tests.kube.passage", str(passage), port],
        cluster.folder / "passage.log",
        passage.exists,
    )
    arguments = [str(lab.folder), str(cluster.kubeconfig), namespace, str(passage)]
    log = (cluster.folder / "lab.log").open("w+")
    way.start()
    up = subprocess.Popen(
        [sys.executable, "-c", UP, *arguments],
        cwd=repository,
        stdout=log,
        stderr=log,
        env=os.environ | {"PYTHONPATH": str(repository)},
    )
    try:
        eventually(lambda: up.poll() is not None or is_settled(3), patience=90, words=made.logs)
        assert up.poll() is None, (cluster.folder / "lab.log").read_text() + made.logs()
        yield made
    finally:
        commands.down()
        up.send_signal(signal.SIGTERM)
        up.wait(20)
        log.close()
        way.stop()


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
