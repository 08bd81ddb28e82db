"""Commands that look at files: what they print, and with which exit code they leave."""

import json
import os

import pytest
from typer.testing import CliRunner

from pilotpy.cli import app

MESH = """
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: default}
spec:
  selector: {app: shop}
  ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Pod
metadata: {name: shop, namespace: default, labels: {app: shop}}
spec: {containers: [{name: shop, image: shop}]}
"""
ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec: {hosts: [shop], http: [{timeout: 3s, route: [{destination: {host: shop}}]}]}
"""


@pytest.fixture
def mesh(tmp_path):
    (tmp_path / "mesh.yaml").write_text(MESH)
    return tmp_path


def ran(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)


def served(*arguments):
    result = ran("compile", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_compile_prints_one_document_with_every_part(mesh):
    document = served("-f", mesh, "--proxy", "shop.default")
    assert list(document) == ["clusters", "endpoints", "listeners", "routes", "secrets", "name_table", "findings"]
    assert "outbound|80||shop.default.svc.cluster.local" in [one["name"] for one in document["clusters"]]
    assert [one["name"] for one in document["routes"]] == ["80"]


def test_compile_prints_only_the_parts_that_are_asked_for(mesh):
    assert list(served("-f", mesh, "--proxy", "shop.default", "--type", "cds,nds")) == [
        "clusters",
        "name_table",
        "findings",
    ]


def test_compile_says_what_it_could_not_read(mesh):
    (mesh / "broken.yaml").write_text("spec: {")
    found = served("-f", mesh, "--proxy", "shop.default", "--type", "cds")["findings"]
    assert [(one["level"], one["file"]) for one in found] == [("Error", str(mesh / "broken.yaml"))]


def test_a_node_that_no_pod_matches_is_served_by_its_metadata(mesh):
    node = "sidecar~10.1.2.3~stranger.elsewhere~elsewhere.svc.cluster.local"
    document = served("-f", mesh, "--node", node, "--metadata", '{"NAMESPACE": "elsewhere"}')
    assert "shop.default" in document["routes"][0]["virtual_hosts"][0]["domains"]
    assert "shop" not in document["routes"][0]["virtual_hosts"][0]["domains"]


@pytest.mark.parametrize("form", ["json", "yaml", "text"])
def test_every_form_names_the_clusters(mesh, form):
    assert "shop.default.svc.cluster.local" in ran("compile", "-f", mesh, "--proxy", "shop.default", "-o", form).output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param((), 2, "--proxy", id="no proxy is named"),
        pytest.param(("--proxy", "a.b", "--node", "c"), 2, "either", id="two are named"),
        pytest.param(("--proxy", "nobody.default"), 1, "shop.default", id="a Pod that there is not"),
        pytest.param(("--node", "shop"), 1, "type~ip~", id="a node id of one part"),
        pytest.param(("--node", "sidecar~1.1.1.1~a.b~c", "--metadata", "{"), 2, "JSON", id="metadata that end early"),
        pytest.param(("--node", "sidecar~1.1.1.1~a.b~c", "--metadata", "[]"), 2, "object", id="metadata in a list"),
        pytest.param(
            ("--node", "sidecar~1.1.1.1~a.b~c", "--metadata", '{"LABELS": 3}'),
            1,
            "LABELS",
            id="labels that are a number",
        ),
        pytest.param(("--proxy", "shop.default", "--type", "xyz"), 1, "xyz", id="an unknown type"),
        pytest.param(("--proxy", "shop.default", "--mesh-config", "/no/file"), 2, "/no/file", id="no mesh config"),
    ],
)
def test_compile_says_what_is_wrong_with_its_arguments(mesh, arguments, code, words):
    result = ran("compile", "-f", mesh, *arguments)
    assert (result.exit_code, words in result.output) == (code, True), result.output


@pytest.mark.parametrize("command", [("analyze",), ("validate", "-f"), ("compile", "--node", "x", "-f")])
def test_a_path_that_cannot_be_read_as_files_is_never_taken_for_an_empty_one(tmp_path, command):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "nothing"):
        result = ran(*command, tmp_path / name)
        assert (result.exit_code, name in result.output) == (2, True), result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param((), "--dir PATH", id="nothing to serve"),
        pytest.param(
            ("--kubernetes", "--kubeconfig", "gone/config"), "gone/config", id="a kubeconfig that is not there"
        ),
    ],
)
def test_serve_says_in_its_own_words_what_is_missing(arguments, words):
    result = ran("serve", *arguments)
    assert (result.exit_code, words in result.output) == (2, True), result.output


def test_diff_of_a_folder_with_itself_is_nothing(mesh):
    result = ran("diff", mesh, mesh)
    assert (result.exit_code, result.output) == (0, "0 of 1 proxies change\n")


def test_diff_says_which_proxies_change_and_how(tmp_path):
    before, after = tmp_path / "before.yaml", tmp_path / "after.yaml"
    before.write_text(MESH + "---" + ROUTE)
    after.write_text(MESH + "---" + ROUTE.replace("3s", "7s"))
    result = ran("diff", before, after, "-o", "json")
    assert result.exit_code == 2
    (changed,) = json.loads(result.output)
    assert changed["proxies"] == ["shop.default"]
    assert ("~", "80", "3s", "7s") in [
        tuple(one[key] for key in ("mark", "resource", "before", "after")) for one in changed["changes"]
    ]


def test_diff_knows_no_other_form(mesh):
    assert ran("diff", mesh, mesh, "-o", "xml").exit_code == 2


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param(MESH, 0, id="nothing is wrong"),
        pytest.param(MESH + "---" + ROUTE.replace("host: shop", "host: gone"), 1, id="a destination that there is not"),
    ],
)
def test_analyze_leaves_with_1_if_anything_is_an_error(tmp_path, text, code):
    (tmp_path / "mesh.yaml").write_text(text)
    result = ran("analyze", tmp_path, "-o", "json")
    assert result.exit_code == code
    findings = json.loads(result.output)
    assert bool(findings) == bool(code)
    assert all({"code", "level", "message", "resource", "file", "line", "hint"} <= one.keys() for one in findings)


def test_validate_looks_at_each_object_by_itself(tmp_path):
    (tmp_path / "mesh.yaml").write_text(ROUTE.replace("host: shop", "host: gone"))
    assert ran("validate", "-f", tmp_path).exit_code == 0
    (tmp_path / "mesh.yaml").write_text(ROUTE.replace("3s", "soon"))
    assert ran("validate", "-f", tmp_path).exit_code == 1
