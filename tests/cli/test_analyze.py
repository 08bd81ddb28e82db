"""The commands analyze and validate, as a script would call them."""

import json

import pytest
from typer.testing import CliRunner

from pilotpy.cli import app

GOOD = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec: {hosts: [web], http: [{route: [{destination: {host: web}}]}]}
"""
LOST = GOOD.replace("destination: {host: web}", "destination: {host: wbe}")
HEAVY = GOOD.replace("[{route:", "[{timeout: soon, route:")
UNNAMED = GOOD.replace("name: http, ", "")


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


@pytest.fixture
def folder(tmp_path):
    def made(text):
        (tmp_path / "in.yaml").write_text(text)
        return tmp_path

    return made


def test_nothing_to_say(folder):
    assert run("analyze", folder(GOOD)) == (0, "No findings: nothing is wrong with this mesh\n")
    assert run("analyze", folder(GOOD), "-o", "json") == (0, "[]\n")


def test_an_error_in_lines(folder):
    code, said = run("analyze", folder(LOST))
    assert code == 1
    assert said.startswith("Error [IST0101] (VirtualService web)")
    assert "in.yaml:10)" in said


def test_an_error_as_data(folder):
    code, said = run("analyze", folder(LOST), "--output", "json")
    assert code == 1
    [finding] = json.loads(said)
    assert finding.pop("hint")
    assert finding.pop("file").endswith("in.yaml")
    assert finding == {
        "code": "IST0101",
        "level": "Error",
        "message": 'Referenced host not found: "wbe"',
        "resource": {"kind": "VirtualService", "namespace": "", "name": "web"},
        "field": "spec.http[0].route[0].destination.host",
        "line": 10,
    }


def test_what_is_only_doubtful_is_no_error(folder):
    code, said = run("analyze", folder(UNNAMED))
    assert (code, said[:14]) == (0, "Info [IST0118]")


def test_what_proxies_are_served_is_said_once(folder):
    pod = "\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus: {podIP: 10.0.0.1}\n"
    _, said = run("analyze", folder(LOST + pod), "-o", "json")
    assert [finding["code"] for finding in json.loads(said)] == ["IST0101"]


GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: [a.com]}]}
"""


def test_the_ingress_gateway_may_be_taken_for_granted(folder):
    codes = [
        [finding["code"] for finding in json.loads(run("analyze", folder(GATEWAY), "-o", "json", *options)[1])]
        for options in ([], ["--default-resources"])
    ]
    assert "IST0101" in codes[0]
    assert "IST0101" not in codes[1]


def test_networks_of_the_mesh(folder, tmp_path):
    networks = tmp_path / "networks"
    networks.write_text(
        "networks: {north: {endpoints: [{fromRegistry: x}], gateways: [{address: 1.1.1.1, port: 443}]}}"
    )
    code, said = run("analyze", folder(GOOD), "--mesh-networks", networks)
    assert code == 1
    assert said.startswith(f"Error [IST0126] (MeshNetworks istio-system/meshnetworks) ({networks}:1)")


@pytest.mark.parametrize("command", ["analyze", "validate"])
def test_nothing_to_look_at(command, tmp_path):
    assert run(command)[0] == 2
    assert run(command, tmp_path / "none")[0] == 2


def test_valid_objects(folder):
    assert run("validate", "-f", folder(GOOD)) == (0, "2 resources are valid\n")
    assert run("validate", "-f", folder(LOST)) == (0, "2 resources are valid\n")


def test_an_invalid_object(folder):
    code, said = run("validate", "-f", folder(HEAVY), "-o", "json")
    [finding] = json.loads(said)
    assert (code, finding["code"], finding["field"]) == (1, "IST0106", "spec.http[0].timeout")
    assert finding["resource"] == {"kind": "VirtualService", "namespace": "", "name": "web"}
    assert finding["line"] == 10


def test_settings_of_the_mesh_are_validated_alone(tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("rootNamespace: istio-system\n")
    bad.write_text("connectTimeout: soon\n")
    assert run("validate", "--mesh-config", good) == (0, "1 resource is valid\n")
    code, said = run("validate", "--mesh-config", bad, "-o", "json")
    [finding] = json.loads(said)
    assert (code, finding["code"], finding["line"]) == (1, "IST0106", 1)
