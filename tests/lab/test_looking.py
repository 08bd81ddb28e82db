"""Looking at a running lab: what its control plane says of its Envoys, and what these say themselves."""

import json

import pytest
from typer.testing import CliRunner

from pilotpy.cli import app as command
from tests.lab.requests import app

pytestmark = [pytest.mark.lab, pytest.mark.envoy, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def running(lab):
    lab.write("apps.yaml", app("client") + app("server"))
    return lab.up()


def ran(*arguments):
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_envoy_is_in_sync(running):
    header, *lines = ran("proxy-status").splitlines()
    assert header.split()[:6] == ["NAME", "CLUSTER", "CDS", "ECDS", "EDS", "LDS"]
    assert [line.partition("-")[0] for line in lines] == ["client", "server"]
    assert all(line.count("SYNCED (") >= 4 for line in lines)


def test_an_envoy_has_exactly_what_it_is_sent(running):
    assert ran("ps", "client-v1") == "Clusters Match\nListeners Match\nRoutes Match\n"


@pytest.mark.parametrize(
    ("arguments", "row"),
    [
        pytest.param(["cluster", "--fqdn", "server.default"], "80 - outbound EDS", id="a cluster"),
        pytest.param(["listener", "--port", "80"], "Route: 80", id="a listener"),
        pytest.param(["route", "--name", "80"], "outbound|80||server.default.svc.cluster.local", id="a route"),
        pytest.param(
            ["endpoint", "--status", "HEALTHY"], "OK outbound|80||server.default.svc.cluster.local", id="its health"
        ),
        pytest.param(["eds", "--port", "8080"], "HEALTHY outbound|80||server.default", id="an assigned endpoint"),
        pytest.param(["secret"], "ROOTCA CA ACTIVE true", id="the root"),
        pytest.param(["bootstrap", "-o", "short"], "Envoy Version: 1.", id="its version"),
    ],
)
def test_an_envoy_shows_what_it_has(running, arguments, row):
    lines = [" ".join(line.split()) for line in ran("pc", arguments[0], "client-v1", *arguments[1:]).splitlines()]
    assert any(row in line for line in lines), lines


def test_no_key_leaves_an_envoy(running):
    text = ran("pc", "all", "client-v1", "-o", "json")
    secrets = json.loads(ran("pc", "secret", "client-v1", "-o", "json"))["dynamicActiveSecrets"]
    (held,) = [one["secret"]["tlsCertificate"] for one in secrets if one["name"] == "default"]
    assert held["privateKey"] == {"inlineBytes": "W3JlZGFjdGVkXQ=="}
    assert "PRIVATE KEY" not in text
