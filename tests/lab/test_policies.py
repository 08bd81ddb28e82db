"""Policies in a lab: who may do what, with real traffic; the cases of the founders among them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from pilotpy.lab import commands
from pilotpy_ca.jwt import jwks_of, signed_token
from pilotpy_ca.keys import KeyType, PrivateKey
from tests.lab.requests import app
from tests.lab.test_identity import analyzed, status
from tests.waiting import eventually

CASES = Path(__file__).parents[3] / "shared" / "cases"
DOOR = Path(__file__).with_name("door.py")
KEY = PrivateKey.new(KeyType.P256)
ISSUER = "https://issuer.example"

pytestmark = [pytest.mark.lab, pytest.mark.envoy, pytest.mark.timeout(120)]


def policies():
    return f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data:
  mesh: |
    extensionProviders:
    - name: door
      envoyExtAuthzHttp:
        service: door.default.svc.cluster.local
        port: 80
        includeRequestHeadersInCheck: [x-ticket]
        headersToUpstreamOnAllow: [x-let-in-by]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: guarded, namespace: default}}
spec:
  selector: {{matchLabels: {{app: guarded}}}}
  rules:
  - from: [{{source: {{principals: [cluster.local/ns/default/sa/friend]}}}}]
    to: [{{operation: {{methods: [GET]}}}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: never, namespace: default}}
spec:
  selector: {{matchLabels: {{app: guarded}}}}
  action: DENY
  rules: [{{to: [{{operation: {{paths: [/secret*]}}}}]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: noted, namespace: default}}
spec:
  selector: {{matchLabels: {{app: guarded}}}}
  action: AUDIT
  rules: [{{to: [{{operation: {{paths: [/noted]}}}}]}}]
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: members, namespace: default}}
spec:
  selector: {{matchLabels: {{app: members}}}}
  jwtRules:
  - issuer: {ISSUER}
    jwks: '{jwks_of(KEY).decode()}'
    outputClaimToHeaders: [{{header: x-who, claim: sub}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: members, namespace: default}}
spec:
  selector: {{matchLabels: {{app: members}}}}
  rules: [{{from: [{{source: {{requestPrincipals: ["{ISSUER}/*"]}}}}]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: ticketed, namespace: default}}
spec:
  selector: {{matchLabels: {{app: ticketed}}}}
  action: CUSTOM
  provider: {{name: door}}
  rules: [{{to: [{{operation: {{notPaths: [/free]}}}}]}}]
---"""


@pytest.fixture(scope="module")
def running(lab):
    lab.write("policies.yaml", policies())
    lab.write("door.py", DOOR.read_text())
    lab.write("payment.yaml", case("mtls-and-authorization.yaml"))
    transparent = yaml.safe_load(case("tproxy.yaml") or "{}")
    annotations = transparent["spec"]["template"]["metadata"]["annotations"] if transparent else {}
    lab.write(
        "apps.yaml",
        app("friend", account="friend")
        + app("stranger", account="stranger")
        + app("guarded")
        + app("members")
        + app("ticketed")
        + app("door", annotations={"lab.pilotpy.dev/command": "python3 door.py"})
        + app("open", annotations=annotations)
        + app("plain", annotations={"traffic.pilotpy.dev/preserveClientAddress": "true"})
        + app("outsider", annotations={"sidecar.istio.io/inject": "false"})
        + OUTSIDE
        + app("asker", annotations={"proxy.istio.io/config": "proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}"})
        + app("order-service", namespace="production", account="order-service")
        + app("payment-service", namespace="production", account="payment-service"),
    )
    return lab.up()


OUTSIDE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [api.example.com]
  addresses: [240.1.2.3]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.44.0.1}]
---"""


def case(name):
    return (CASES / name).read_text() if CASES.is_dir() else ""


needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")


@pytest.mark.parametrize(
    ("client", "arguments", "path", "expected"),
    [
        pytest.param("friend-v1", (), "/", "200", id="who is named may do what is named"),
        pytest.param("friend-v1", ("-X", "POST"), "/", "403", id="and nothing else"),
        pytest.param("friend-v1", (), "/secret/door", "403", id="nor what is denied to all"),
        pytest.param("friend-v1", (), "/noted", "200", id="what is audited goes on"),
        pytest.param("stranger-v1", (), "/", "403", id="who is not named may nothing"),
    ],
)
def test_an_authorization_policy(running, client, arguments, path, expected):
    assert status(running, client, f"http://guarded{path}", *arguments) == expected


def token(**claims):
    now = int(datetime.now(UTC).timestamp())
    return signed_token(KEY, {"iss": ISSUER, "sub": "ada", "iat": now, "exp": now + 600, **claims})


@pytest.mark.parametrize(
    ("shown", "expected"),  # made when they are shown: they end, and a whole run takes long
    [
        pytest.param(token, "200", id="of the issuer"),
        pytest.param(lambda: token(iss="https://other.example"), "401", id="of another issuer"),
        pytest.param(lambda: token(exp=1_700_000_000), "401", id="that is over"),
        pytest.param(lambda: "nonsense", "401", id="that is none"),
        pytest.param(lambda: "", "403", id="that is missing"),
    ],
)
def test_a_token(running, shown, expected):
    text = shown()
    bearer = ("-H", f"authorization: Bearer {text}") if text else ()
    assert status(running, "friend-v1", "http://members/", *bearer) == expected


def test_claims_of_a_token_become_headers(running):
    said = running.curl("friend-v1", "-H", f"authorization: Bearer {token()}", "http://members/")
    assert said["headers"]["x-who"] == "ada"


def test_a_server_of_the_users_own_decides(running):
    assert status(running, "friend-v1", "http://ticketed/") == "403"
    said = running.curl("friend-v1", "-H", "x-ticket: valid", "http://ticketed/")
    assert said["headers"]["x-let-in-by"] == "the door"
    assert status(running, "friend-v1", "http://ticketed/free") == "200"


@needs_cases
def test_production_takes_no_plaintext(running):
    payment = commands.pod_named(commands.status(), "payment-service-v1.production")
    assert status(running, "outsider-v1", f"http://{payment.address}:8080/") == "000"


@needs_cases
@pytest.mark.parametrize(
    ("client", "path", "expected"),
    [
        # Not what its author meant, but what Istio makes of it: the star in the middle stands for itself.
        pytest.param("order-service-v1.production", "/api/v1/payments", "403", id="the path that its author meant"),
        pytest.param("order-service-v1.production", "/api/v*/payments/7", "200", id="the path as it is matched"),
        pytest.param("stranger-v1", "/api/v*/payments/7", "403", id="a caller who is not named"),
    ],
)
def test_payments(running, client, path, expected):
    url = f"http://payment-service.production{path}"
    assert status(running, client, url, "-X", "POST", "--globoff") == expected


@needs_cases
def test_of_the_star_in_the_middle_the_user_is_told_with_the_line(running):
    line = 1 + case("mtls-and-authorization.yaml").splitlines().index('            paths: ["/api/v*/payments*"]')
    assert f"payment.yaml:{line}) One star counts, first or last" in analyzed(running)


@pytest.mark.parametrize(
    "server",
    [
        pytest.param("open", id="under TPROXY, as an annotation of Istio's asks", marks=needs_cases),
        pytest.param("plain", id="under REDIRECT, as an annotation of ours asks"),
    ],
)
def test_the_application_sees_its_clients_address(running, server):
    if running.state.own_user:
        pytest.skip("Envoy has no user of its own here")
    client = commands.pod_named(commands.status(), "friend-v1")
    said = running.curl("friend-v1", f"http://{server}/")
    assert said["from"].startswith(f"{client.address}:")
    assert said["headers"]["x-forwarded-client-cert"].endswith("URI=spiffe://cluster.local/ns/default/sa/friend")
    own = commands.pod_named(commands.status(), f"{server}-v1")
    assert running.curl(f"{server}-v1", f"http://{server}/")["from"].startswith(f"{own.address}:")
    outsider = commands.pod_named(commands.status(), "outsider-v1")
    plain = running.curl("outsider-v1", f"http://{own.address}:8080/")
    assert plain["from"].startswith(f"{outsider.address}:")
    # Many connections that are new: answers must find their way each time.
    urls = [f"http://{own.address}:8080/?{number}" for number in range(200)]
    answers = running.run("outsider-v1", "curl", "-sS", "-H", "connection: close", *urls)
    assert len([line for line in answers.splitlines() if json.loads(line)["from"].startswith(outsider.address)]) == 200


def test_an_agent_answers_for_names_that_only_the_mesh_knows(running):
    assert running.run("asker-v1", "getent", "hosts", "api.example.com").split() == ["240.1.2.3", "api.example.com"]
    assert running.run("friend-v1", "getent", "hosts", "api.example.com", check=False) == ""


def test_an_edited_policy_is_soon_in_force(running):
    running.write("policies.yaml", policies().replace("sa/friend", "sa/stranger"))
    eventually(lambda: status(running, "stranger-v1", "http://guarded/") == "200", 3)
    # What is open when the policy changes may end in peace, with one more answer.
    eventually(lambda: status(running, "friend-v1", "http://guarded/") == "403", 3)
