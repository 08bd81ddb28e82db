"""`pilotpy lab up --api-server`: from what kubectl would write to real Envoys, at an API server of the lab's own."""

import os
import signal
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from pilotpy.lab import commands
from pilotpy.lab.cluster.reach import own_server, somebodys
from tests.kube.cluster import Client, Refused, path_of
from tests.kube.waiting import eventually
from tests.lab.conftest import lab, namespaces  # noqa: F401 - fixtures
from tests.lab.requests import app, load

pytestmark = [pytest.mark.lab, pytest.mark.envoy, pytest.mark.timeout(200)]

PATIENCE = timedelta(seconds=90)


class Mesh:
    """A lab, and a user who has its kubeconfig."""

    def __init__(self, running):
        self.running = running
        state = commands.status()
        config = yaml.safe_load(Path(state.kubeconfig).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cafile=cluster["certificate-authority"])
        context.load_cert_chain(user["client-certificate"], user["client-key"])
        self.user = Client(cluster["server"], context)
        self.folder = Path(state.kubeconfig).parent

    def apply(self, text):
        """As `kubectl apply --server-side`."""
        for one in yaml.safe_load_all(text):
            if one:
                one["metadata"].setdefault("namespace", "default")
                path = f"{path_of(one)}?fieldManager=kubectl&force=true"
                eventually(lambda one=one, path=path: self.user.request("PATCH", path, one, _APPLY))

    def items(self, collection, namespace="default"):
        return self.user.request("GET", f"/api/v1/namespaces/{namespace}/{collection}")["items"]

    def logs(self):
        return "".join(file.read_text()[-3000:] for file in sorted(self.folder.parent.glob("*.log")))


_APPLY = "application/apply-patch+yaml"


@pytest.fixture(scope="module")
def mesh(lab, kube_assets):  # noqa: F811 - the fixture
    """A client and a server that were in a file when the lab began."""
    (lab.folder / "apps.yaml").write_text(app("client") + app("server"))
    commands.up_detached([lab.folder], patience=PATIENCE, reach=own_server)
    made = Mesh(lab)
    eventually(lambda: is_settled(2), patience=60, words=made.logs)
    return made


def is_settled(pods):
    found = commands.status()
    return found is not None and found.settled and len(found.pods) == pods


def answered(mesh, url="http://server/"):
    return mesh.running.curl("client-v1", url)["version"]


def test_manifests_are_applied_and_run(mesh):
    assert answered(mesh) == "v1"
    said = mesh.running.curl("client-v1", "http://server/hello")
    assert "spiffe://cluster.local/ns/default/sa/default" in said["headers"]["x-forwarded-client-cert"]


def test_there_is_one_node_which_is_ready(mesh):
    (node,) = mesh.user.request("GET", "/api/v1/nodes")["items"]
    assert {one["type"]: one["status"] for one in node["status"]["conditions"]}["Ready"] == "True"
    lease = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node['metadata']['name']}"
    assert mesh.user.request("GET", lease)["spec"]["holderIdentity"]


def test_the_control_plane_runs_with_no_more_rights_than_it_has_in_a_cluster(mesh):
    config = yaml.safe_load((mesh.folder.parent / "projected" / "control-plane.kubeconfig").read_text())
    token = Path(config["users"][0]["user"]["tokenFile"])
    context = ssl.create_default_context(cafile=config["clusters"][0]["cluster"]["certificate-authority"])
    plane = Client(mesh.user.url, context, token.read_text())
    assert plane.request("GET", "/api/v1/pods")["items"]
    with pytest.raises(Refused, match="403"):
        plane.request("DELETE", path_of({"apiVersion": "v1", "kind": "Pod"} | mesh.items("pods")[0]))


def test_a_rule_that_is_written_to_the_file_reaches_the_envoys(mesh):
    mesh.running.write(
        "rule.yaml",
        """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: server}
spec:
  hosts: [server]
  http: [{directResponse: {status: 200, body: {string: '{"version": "from the file"}'}}}]
""",
    )
    eventually(lambda: answered(mesh) == "from the file", patience=20, words=mesh.logs)
    rule = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService"}
    mesh.user.delete(rule | {"metadata": {"namespace": "default", "name": "server"}})
    eventually(lambda: answered(mesh) == "v1", patience=20, words=mesh.logs)


def test_an_application_that_is_applied_in_a_namespace_of_its_own_runs_and_all_of_it_goes_with_the_namespace(mesh):
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    mesh.user.create(namespace)
    eventually(lambda: mesh.items("serviceaccounts", "shop"), words=mesh.logs)
    mesh.apply(app("web", namespace="shop"))
    eventually(lambda: is_settled(3), patience=40, words=mesh.logs)
    # Until it has endpoints, the proxy answers, in words that are no JSON.
    eventually(lambda: answered(mesh, "http://web.shop/") == "v1", passing=ValueError, words=mesh.logs)
    mesh.user.delete(namespace)
    eventually(lambda: is_gone(mesh, namespace), patience=60, words=mesh.logs)
    eventually(lambda: is_settled(2), patience=20, words=mesh.logs)


def is_gone(mesh, one):
    try:
        mesh.user.read(one)
    except Refused as refused:
        return refused.status == 404
    return False


def test_a_pod_whose_account_comes_late_begins_once_it_is_there(mesh):
    mesh.apply(app("late", account="late").split("---")[0])
    eventually(lambda: 'serviceaccount "late" not found' in mesh.logs(), patience=20)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": "default", "name": "late"}}
    mesh.user.create(account)
    eventually(lambda: is_settled(3), patience=40, words=mesh.logs)
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": "default", "name": "late-v1"},
    }
    mesh.user.delete(deployment)
    eventually(lambda: is_settled(2), patience=40, words=mesh.logs)


def test_a_job_comes_to_its_end(mesh):
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"namespace": "default", "name": "once"}}
    quiet = {"lab.pilotpy.dev/command": "sleep 0.1", "sidecar.istio.io/inject": "false"}
    spec = {"restartPolicy": "Never", "containers": [{"name": "app", "image": "none"}]}
    mesh.user.create(job | {"spec": {"template": {"metadata": {"annotations": quiet}, "spec": spec}}})
    eventually(lambda: mesh.user.read(job)["status"].get("succeeded") == 1, patience=40, words=mesh.logs)
    conditions = {one["type"] for one in mesh.user.read(job)["status"]["conditions"]}
    assert "Complete" in conditions
    (pod,) = [one for one in mesh.items("pods") if one["metadata"]["name"].startswith("once-")]
    assert pod["status"]["phase"] == "Succeeded"
    mesh.user.delete(job)
    eventually(lambda: not [one for one in mesh.items("pods") if one["metadata"]["name"].startswith("once-")])


def test_requests_go_on_while_the_api_server_dies_and_comes_back_and_what_is_written_then_is_followed(mesh):
    (server,) = processes_of(mesh.folder / "apiserver")
    with load("client-v1", "http://server/", 15) as result:
        os.kill(server, signal.SIGKILL)
        eventually(lambda: processes_of(mesh.folder / "apiserver") - {server}, patience=20, words=mesh.logs)
    assert result["failures"] == []
    assert sum(result["counts"].values()) > 300
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment"}
    deployment["metadata"] = {"namespace": "default", "name": "server-v1"}

    def scaled():
        try:
            return mesh.user.patch(deployment, {"spec": {"replicas": 2}})
        except OSError:
            return None

    eventually(scaled, patience=40, words=mesh.logs)
    eventually(lambda: is_settled(3), patience=40, words=mesh.logs)


def processes_of(folder):
    """The kube-apiservers that have their certificates in a folder, as the machine counts."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"--cert-dir={folder}".encode() in (process / "cmdline").read_bytes().split(b"\0"):
                found.add(int(process.name))
        except OSError:
            continue
    return found


def test_a_cluster_that_somebody_lives_in_is_refused_and_nothing_is_written_to_it(
    mesh, apiserver, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "somebodys"}}
    apiserver.admin.create(node)
    try:
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        apiserver.admin.status(node | {"status": ready})
        reach = somebodys(apiserver.kubeconfig, "", unguarded=False)
        with pytest.raises(OSError, match=r"lived in.*a node that is ready: somebodys"):
            commands.up_detached([], patience=PATIENCE, reach=reach)
        names = {one["metadata"]["name"] for one in apiserver.admin.request("GET", "/api/v1/nodes")["items"]}
        assert "pilotpy-lab" not in names
    finally:
        apiserver.admin.delete(node)
