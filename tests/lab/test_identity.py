"""Identities in a lab: who is who on the wire, how certificates and roots change, who is turned away."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pilotpy.lab import commands, entry, state
from pilotpy_ca.commands import Happened, Revoke, Rotate, Show
from pilotpy_ca.control import ask
from pilotpy_ca.terms import Terms
from tests.lab.requests import app, load
from tests.waiting import eventually

pytestmark = [pytest.mark.lab, pytest.mark.envoy, pytest.mark.timeout(120)]

SHORT_LIVED = {"proxy.istio.io/config": "proxyMetadata: {SECRET_TTL: 12s}"}
LIFE = 12
WRONG = '{mode: ISTIO_MUTUAL, subjectAltNames: ["spiffe://cluster.local/ns/default/sa/somebody-else"]}'
MESH = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: "accessLogFile: /dev/stdout"}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: strict, namespace: default}}
spec: {{selector: {{matchLabels: {{app: vault}}}}, mtls: {{mode: STRICT}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: mistaken, namespace: default}}
spec: {{selector: {{app: server}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: mistaken, namespace: default}}
spec:
  host: mistaken
  trafficPolicy:
    tls: {WRONG}
---"""


def spiffe(account, namespace="default"):
    return f"spiffe://cluster.local/ns/{namespace}/sa/{account}"


@pytest.fixture(scope="module")
def running(lab):
    lab.write("mesh.yaml", MESH)
    lab.write(
        "apps.yaml",
        app("client", account="client", annotations=SHORT_LIVED)
        + app("server", account="server", annotations=SHORT_LIVED)
        + app("vault", account="vault")
        + app("doomed", account="doomed")
        + app("outsider", annotations={"sidecar.istio.io/inject": "false"}),
    )
    return lab.up()


def status(running, pod, url, *arguments):
    """The status of a request; "000" for a connection that ended without one."""
    options = ("-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", *arguments)
    return running.run(pod, "curl", "-sS", *options, url, check=False)


def at(pod):
    """Where a pod is: who has no sidecar reaches no Service here, there is no kube-proxy."""
    return f"http://{commands.pod_named(commands.status(), pod).address}:8080/"


def analyzed(running):
    """What `pilotpy analyze` says of the lab's folder."""
    command = [sys.executable, "-m", "pilotpy", "analyze", str(running.folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def told(running, command):
    return ask(Path(running.state.keys), command, Terms())


def received(running, account):
    """How many certificates an account's pods have been given so far."""
    return len(re.findall(rf"certificate received  identity={spiffe(account)} ", agents_log(running)))


def asked_in_vain(running, account):
    """How often an account's pods have asked for a certificate and got none."""
    return len(re.findall(rf"no certificate  identity={spiffe(account)} ", agents_log(running)))


def agents_log(running):
    return (running.home / "pilotpy" / state.AGENTS_LOG).read_text()


def test_both_sides_are_named_by_their_certificates(running):
    told = running.curl("client-v1", "http://server/")["headers"]["x-forwarded-client-cert"]
    assert f"By={spiffe('server')};" in told
    assert told.endswith(f"URI={spiffe('client')}")


def test_plaintext_is_refused_where_it_is_strict_and_taken_elsewhere(running):
    assert status(running, "outsider-v1", at("vault-v1")) == "000"
    assert status(running, "client-v1", "http://vault/") == "200"
    plain = running.curl("outsider-v1", at("server-v1"))
    assert "x-forwarded-client-cert" not in plain["headers"]


def test_a_server_of_another_name_is_refused_and_the_user_told_why(running):
    said = running.run("client-v1", "curl", "-sS", "-w", "%{http_code}", "http://mistaken/")
    assert said.endswith("503")
    client = commands.pod_named(commands.status(), "client-v1")
    log = running.home / "pilotpy" / f"{client.name}.default.envoy.log"
    (line,) = [line for line in analyzed(running).splitlines() if "PP0448" in line]
    assert f"mesh.yaml:{1 + MESH.splitlines().index('    tls: ' + WRONG)})" in line
    assert f"its servers are {spiffe('server')}; requests get 503" in line
    eventually(lambda: re.search(r'" 503 .*CERTIFICATE_VERIFY_FAILED.*SAN.*sa/server.*mistaken', log.read_text()))


def test_certificates_and_the_root_change_under_load_without_a_failed_request(running):
    before = told(running, Show()).status.signers
    held = {account: received(running, account) for account in ("client", "server")}
    with load("client-v1", "http://server/", LIFE + 2) as result:
        assert isinstance(told(running, Rotate()), Happened)
        # The others' certificates last for a day: nobody waits for that here.
        eventually(lambda: told(running, Show()).status.signers[0].id != before[0].id)
    assert result["failures"] == []
    assert result["counts"]["v1"] > 500
    assert all(received(running, account) > number for account, number in held.items())
    phases = {signer.id: signer.phase for signer in told(running, Show()).status.signers}
    assert [phases[signer.id] for signer in before] == ["old"]
    assert status(running, "client-v1", "http://vault/") == "200"


def test_traffic_goes_on_while_the_control_plane_is_away_for_longer_than_a_grace(running):
    names = ("client", "server")
    held = {name: received(running, name) for name in names}
    eventually(lambda: all(received(running, name) > held[name] for name in names), LIFE)
    # Fresh certificates: half of their life is their grace, in which the next ones are asked for in vain.
    with load("client-v1", "http://server/", LIFE * 0.9) as result:
        commands.plane(up=False)
        held = {name: received(running, name) for name in names}
        gone, vain = time.monotonic(), {name: asked_in_vain(running, name) for name in names}
        eventually(lambda: all(asked_in_vain(running, name) > vain[name] for name in names), LIFE)
        eventually(lambda: time.monotonic() - gone > LIFE / 2)
        assert {name: received(running, name) for name in names} == held
        commands.plane(up=True)
        eventually(lambda: all(received(running, name) > held[name] for name in names))
    assert result["failures"] == []
    assert result["counts"]["v1"] > 500
    eventually(lambda: commands.status().settled)


def test_a_revoked_workload_is_turned_out(running, record_property):
    with load("doomed-v1", "http://server/", 12) as doomed, load("client-v1", "http://server/", 12) as other:
        eventually(lambda: status(running, "doomed-v1", "http://server/") == "200")
        revoked = time.time()
        assert isinstance(told(running, Revoke(spiffe("doomed"), ban=True)), Happened)
        eventually(lambda: status(running, "doomed-v1", "http://server/") == "503")
    taken = doomed["last"] - revoked
    record_property("seconds from the command to the last answer", round(taken, 2))
    sys.stdout.write(f"revoked: {taken:.2f} s from the command to the last answer\n")
    assert doomed["counts"]["v1"] > 0
    assert doomed["failures"]
    assert other["failures"] == []
    assert status(running, "doomed-v1", "http://server/") == "503"
    assert status(running, "client-v1", "http://server/") == "200"


def test_without_root_it_is_the_same(lab, running, monkeypatch):
    commands.down()
    monkeypatch.setattr(entry, "way_in", lambda: ("unshare", *entry._AS_USER, *entry._NAMESPACES))
    try:
        lab.up()
    except OSError as forbidden:
        pytest.skip(f"users make no namespaces here: {forbidden}")
    assert commands.status().own_user
    assert f"URI={spiffe('client')}" in json.dumps(lab.curl("client-v1", "http://vault/"))
    assert status(lab, "outsider-v1", at("vault-v1")) == "000"
