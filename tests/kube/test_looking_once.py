"""What commands say of a real cluster that they look at once."""

import json

import pytest
from typer.testing import CliRunner

import pilotpy
from pilotpy.cli import app
from tests.kube.cluster import free_port
from tests.kube.objects import endpoint_slice, pod, running, service, virtual_service
from tests.kube.waiting import eventually


@pytest.fixture(scope="module")
def shop(apiserver, routes):
    """A namespace with two Services, a Pod, and a route to a host that there is not."""
    namespace = apiserver.namespace()
    apiserver.admin.create(service(namespace, "reviews"), service(namespace, "ratings"))
    apiserver.admin.status(running(apiserver.admin.create(pod(namespace, "web-1", app="web")), "10.1.2.3"))
    apiserver.admin.create(endpoint_slice(namespace, "ratings", "10.1.2.4"))
    eventually(lambda: apiserver.admin.create(virtual_service(namespace, "lost", "nobody", host="reviews")))
    return namespace


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def looked(apiserver, command, *arguments):
    return run(command, "--kubernetes", "--kubeconfig", apiserver.kubeconfig, *arguments)


@pytest.fixture
def mended(shop, tmp_path):
    """A file that makes the route go somewhere."""
    (tmp_path / "route.yaml").write_text(json.dumps(virtual_service(shop, "lost", "ratings", host="reviews")))
    return tmp_path / "route.yaml"


def codes(result):
    return [one["code"] for one in json.loads(result.stdout)]


def test_what_is_wrong_in_a_cluster_is_said(apiserver, shop):
    result = looked(apiserver, "analyze", "-n", shop)
    assert result.exit_code == 1
    assert f"Error [IST0101] (VirtualService {shop}/lost)" in result.stdout


def test_what_is_wrong_elsewhere_is_not_said(apiserver, shop):
    result = looked(apiserver, "analyze", "-n", "default", "-o", "json")
    assert shop not in result.stdout
    assert "IST0101" not in codes(result)


def test_files_count_before_the_cluster(apiserver, shop, mended):
    assert "IST0101" not in codes(looked(apiserver, "analyze", "-n", shop, mended, "-o", "json"))


def test_a_proxy_of_the_cluster_is_compiled(apiserver, shop, mended):
    result = looked(apiserver, "compile", "--proxy", f"web-1.{shop}", "--type", "eds,rds", "-f", mended)
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert "10.1.2.4" in json.dumps(document["endpoints"])
    assert f"outbound|80||ratings.{shop}.svc.cluster.local" in json.dumps(document["routes"])


def test_files_change_what_the_proxies_of_the_cluster_are_served(apiserver, shop, mended):
    result = looked(apiserver, "diff", mended, "-o", "json")
    assert result.exit_code == 2, result.output
    [changes] = [one["changes"] for one in json.loads(result.stdout) if f"web-1.{shop}" in one["proxies"]]
    assert f"ratings.{shop}" in json.dumps(changes)


def test_a_service_that_is_applied_again_keeps_its_address(apiserver, shop, tmp_path):
    (tmp_path / "service.yaml").write_text(json.dumps(service(shop, "ratings")))
    result = looked(apiserver, "diff", tmp_path)
    assert (result.exit_code, result.stdout.split()[0]) == (0, "0"), result.output


def test_kinds_that_may_not_be_listed_are_named_and_end_nothing(apiserver, shop):
    apiserver.account(shop, "reader")
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"{shop}-reader"},
        "rules": [
            {"apiGroups": ["", "networking.istio.io"], "resources": [what], "verbs": ["list"]}
            for what in ("services", "namespaces", "virtualservices")
        ],
    }
    subject = {"kind": "ServiceAccount", "namespace": shop, "name": "reader"}
    binding = role | {"kind": "ClusterRoleBinding", "subjects": [subject]}
    del binding["rules"]
    binding["roleRef"] = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"{shop}-reader"}
    apiserver.admin.create(role, binding)
    token = apiserver.admin.token(shop, "reader", audience="")
    kubeconfig = apiserver.kubeconfig_for("reader", {"token": token})
    result = run("analyze", "--kubernetes", "--kubeconfig", kubeconfig, "-n", shop, "-o", "json")
    said = [one["message"] for one in json.loads(result.stdout) if one["code"] == "PP0011"]
    assert "pods are taken to be none: you may not list them" in said
    assert not [one for one in said if one.startswith(("services ", "virtualservices."))]
    assert not [one for one in said if "telemetry.istio.io" in one]  # whose group is not installed
    assert "IST0101" in codes(result)


def test_nobody_answers(apiserver, tmp_path):
    text = apiserver.kubeconfig.read_text().replace(apiserver.url, f"https://127.0.0.1:{free_port()}")
    (tmp_path / "kubeconfig").write_text(text)
    result = run("analyze", "--kubernetes", "--kubeconfig", tmp_path / "kubeconfig")
    assert result.exit_code == 1
    assert result.stderr.startswith("pilotpy: the cluster cannot be looked at: ")


def test_a_token_that_nobody_knows(apiserver):
    result = run("analyze", "--kubernetes", "--kubeconfig", apiserver.kubeconfig_for("stranger", {"token": "x"}))
    assert result.exit_code == 1
    assert "401" in result.stderr


@pytest.mark.parametrize("command", ["analyze", "compile", "diff"])
def test_options_of_a_cluster_without_one(command, tmp_path):
    more = ["--proxy", "a.b"] if command == "compile" else []
    paths = [tmp_path, tmp_path] if command == "diff" else [tmp_path]
    assert run(command, *paths, *more, "--context", "x").exit_code == 2


def test_a_cluster_is_looked_at_from_python(apiserver, shop, mended):
    seen = pilotpy.cluster(apiserver.kubeconfig)
    meshes = [pilotpy.load(cluster=seen), pilotpy.load(mended, cluster=seen)]
    lost = [[one for one in mesh.findings if one.code == "IST0101" and one.ref.namespace == shop] for mesh in meshes]
    assert [len(found) for found in lost] == [1, 0]
