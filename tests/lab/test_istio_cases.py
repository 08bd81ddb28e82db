"""Istio's own cases of routing between sidecars, with its requests and what servers and clients must see of them."""

import json
import re
import time
from pathlib import Path
from typing import NamedTuple

import pytest

CASES = Path(__file__).parents[3] / "shared" / "conformance" / "integration-routing" / "cases.json"
GROUPS = ("virtualServiceCases/", "hostCases/", "selfCallsCases/to service", "useClientProtocolCases/")

pytestmark = [pytest.mark.lab, pytest.mark.envoy, pytest.mark.timeout(120)]

# The cases as data have lost headers without a value; this is how curl writes one.
LOST = {"have end-user header but value is empty": ["End-User;"]}

PORTS = {"http": (80, 18080), "http2": (85, 18085), "auto-http": (81, 18081)}
"""Of every server: numbers of the service and of the Pod."""


def cases():
    found = json.loads(CASES.read_text())["cases"] if CASES.exists() else []
    ours = [case for case in found if case["name"].startswith(GROUPS) and not case.get("has_go_check")]
    return [pytest.param(case, id=case["name"]) for case in ours] or [
        pytest.param(None, marks=pytest.mark.skip(reason="Istio's cases are not here"))
    ]


def server(name, *, headless=False):
    own_ports = ", ".join(f"{{containerPort: {own}}}" for _, own in PORTS.values())
    ports = ", ".join(
        # Who calls a headless service reaches its Pods: their own ports are the service's.
        f"{{name: {named}, port: {own if headless else port}, targetPort: {own}}}"
        for named, (port, own) in PORTS.items()
    )
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: echo}}
spec: {{selector: {{app: {name}}}, ports: [{ports}]{", clusterIP: None" if headless else ""}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}-v1, namespace: echo, labels: {{app: {name}, version: v1}}}}
spec:
  hostname: some-instances
  containers: [{{name: app, image: echo, ports: [{own_ports}]}}]
---"""


class Seen(NamedTuple):
    """What came of a request."""

    status: int
    headers: dict[str, str]  # of the answer
    server: dict  # what the server says that it received; empty if none did

    def received(self, header):
        return self.server.get("headers", {}).get(header, "")


@pytest.fixture(scope="module")
def running(lab):
    lab.write("apps.yaml", server("a") + server("b") + server("c") + server("headless", headless=True))
    return lab.up()


def in_echo(text):
    """Objects that name no namespace are in that of the servers."""
    documents = [one for one in re.split(r"^---\s*$", text, flags=re.MULTILINE) if one.strip()]
    return "\n---\n".join(
        one if "namespace:" in one else one.replace("metadata:\n", "metadata:\n  namespace: echo\n", 1)
        for one in documents
    )


def sent(running, client, call, address):
    http = call.get("http") or {}
    headers = [f"{name}: {value}" for name, values in (http.get("headers") or {}).items() for value in values]
    headers += LOST.get(call.get("name", ""), [])
    path = (http.get("path") or "/").partition("#")[0]
    said = running.run(
        client,
        *("curl", "-sS", "-i", "--max-time", "5", "-X", http.get("method") or "GET"),
        *(part for header in headers for part in ("-H", header)),
        *(["-L"] if http.get("followRedirects") else []),
        *(["--http2-prior-knowledge"] if http.get("http2") else []),
        f"http://{address}:{PORTS[call['port']['name']][address == 'headless']}{path}",
    )
    head, _, body = said.replace("\r\n", "\n").rpartition("\n\n")
    first, *lines = head.rpartition("\n\n")[2].splitlines()  # of the last answer, after redirects
    fields = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
    return Seen(int(first.split()[1]), fields, json.loads(body) if body.startswith("{") else {})


CHECKS = {
    "Status": lambda want, seen: seen.status == want,
    "Host": lambda want, seen: seen.received("host") + seen.received("authority") == want,
    "URL": lambda want, seen: seen.server.get("path") == want,
    "Protocol": lambda want, seen: seen.server.get("protocol") == want.removesuffix(".0"),
    "RequestHeader": lambda want, seen: seen.received(want[0].lower()) == want[1],
    "ResponseHeader": lambda want, seen: seen.headers.get(want[0].lower(), "") == want[1].lower(),
    "ResponseHeaders": lambda want, seen: all(CHECKS["ResponseHeader"](one, seen) for one in want.items()),
    "And": lambda want, seen: all(holds(one, seen) for one in want),
}
"""What Istio's framework can ask about a response."""


def holds(check, seen):
    if check == "MTLSForHTTP":
        return True  # who the client is, is told by tests of its identity
    ((kind, want),) = ({"Status": 200} if check == "OK" else check).items()
    return CHECKS[kind](want, seen)


@pytest.mark.parametrize("case", cases())
def test_requests_are_seen_as_istio_expects(running, case):
    running.write("case.yaml", in_echo(case.get("config") or "---\n"))
    for call in case["calls"]:
        if "<<" in json.dumps(call):
            continue  # addresses that only a cluster knows
        client = f"{call.get('client') or case.get('client') or 'a'}-v1"
        seen, until = None, time.monotonic() + 5
        while seen is None or not holds(call["check"], seen):
            assert time.monotonic() < until, (call.get("name"), call["check"], seen)
            seen = sent(running, client, call, call.get("address") or call["to"])
