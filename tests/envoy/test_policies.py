"""Policies in a real Envoy: it takes the filters, and lets pass what the policies let pass."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from pilotpy.model.extension_provider import (
    EnvoyExternalAuthorizationGrpcProvider,
    EnvoyExternalAuthorizationHttpProvider,
    EnvoyExternalAuthorizationRequestBody,
    ExtensionProvider,
)
from tests.compile.listening import listened, service
from tests.compile.test_jwks import BAD, GOOD
from tests.envoy.test_traffic_to_listeners import answer, application, connected, repeat, workload
from tests.envoy.verdict import refusal
from tests.mesh.world import World, kube_service

pytestmark = pytest.mark.envoy

EVERYTHING = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: %(action)s, namespace: default}
spec:
  action: %(action)s
  rules:
  - from:
    - source:
        principals: ["a", "a*", "*a.b", "*", "cluster.local/ns/a/sa/b"]
        notPrincipals: ["(", "*("]
        namespaces: ["a[", "a*", "*"]
        ipBlocks: ["1.2.3.4", "fd00::/8"]
        notRemoteIpBlocks: ["0.0.0.0/0"]
    - source: {serviceAccounts: ["a.b", "a/b"], trustDomains: ["a", "*", "*a.b"]}
    to:
    - operation:
        hosts: ["a", "*.a", "a.*", "*"]
        notMethods: ["GET", "*"]
        paths: ["/a", "/a*", "*/a", "*", "/a/{*}/b/{**}"]
        ports: ["80"]
    when:
    - {key: connection.sni, values: ["a", "*.a", "*"]}
    - {key: destination.ip, notValues: ["1.2.3.4/8"]}
    - {key: "experimental.envoy.filters.network.mysql_proxy[db.table]", values: ["[update]", "x*"]}
  - from:
    - source: {requestPrincipals: ["*", "a/b", "*/b", "a/*", "a*"], notRequestPrincipals: ["*b"]}
    when:
    - {key: "request.auth.claims[a][b]", values: ["x", "y"], notValues: ["*"]}
    - {key: request.auth.audiences, values: ["x*"]}
    - {key: request.auth.presenter, values: ["*x"]}
    - {key: "request.headers[x-y]", values: ["a", "*"], notValues: ["b*"]}
"""
TOKENS = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: default}
spec:
  jwtRules:
  - {issuer: https://a, jwksUri: https://a/keys}
  - issuer: https://b
    audiences: [x, z]
    fromHeaders: [{name: x-token, prefix: "T "}, {name: x-plain}]
    fromParams: [t]
    fromCookies: [c]
    outputPayloadToHeader: x-payload
    outputClaimToHeaders: [{header: x-sub, claim: sub}]
    forwardOriginalToken: true
  - {}
"""
ASKED = {"service": "b.default.svc.cluster.local", "port": 9, "fail_open": True, "status_on_error": "403"}
BODY = EnvoyExternalAuthorizationRequestBody(max_request_bytes=99, pack_as_bytes=True, allow_partial_message=True)
HTTP = EnvoyExternalAuthorizationHttpProvider(
    **ASKED,
    path_prefix="/check",
    clear_route_cache=True,
    include_request_headers_in_check=("a", "a*", "*a", "*"),
    include_additional_headers_in_check={"b": "c", "a": "%REQ(x)%"},
    include_request_body_in_check=BODY,
    headers_to_upstream_on_allow=("a*",),
    headers_to_downstream_on_deny=("*a",),
    headers_to_downstream_on_allow=("a",),
)
GRPC = EnvoyExternalAuthorizationGrpcProvider(**ASKED, include_request_body_in_check=BODY)


@pytest.mark.parametrize(
    "provider",
    [
        ExtensionProvider(name="asked", envoy_ext_authz_http=HTTP),
        ExtensionProvider(name="asked", envoy_ext_authz_grpc=GRPC),
        ExtensionProvider(name="unknown"),
    ],
    ids=["asked over HTTP", "asked over gRPC", "nobody to ask"],
)
@pytest.mark.parametrize("trial", [False, True], ids=["enforced", "on trial"])
def test_envoy_takes_every_form_of_a_policy(tmp_path, provider, trial):
    written = [EVERYTHING % {"action": action} for action in ("ALLOW", "DENY", "AUDIT")]
    if trial:
        written = [one.replace("namespace:", 'annotations: {istio.io/dry-run: "true"}, namespace:') for one in written]
    custom = EVERYTHING % {"action": "CUSTOM"} + "  provider: {name: asked}\n"
    ports = service("a", "http:80:8080", "tcp:81:9000", "odd:82:7000")
    world = World(*written, custom, TOKENS, ports, kube_service("default", "b", port=9))
    world.settings(extension_providers=(provider,))
    found = listened(world, "a-1.default", LABELS={"app": "a"}).values()
    assert not refusal(tmp_path, found)


def rules_with(*written: dict[str, object]) -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens, namespace: default}}
spec: {{jwtRules: [{{issuer: a, jwks: {json.dumps(json.dumps({"keys": written}))}}}]}}
"""


@pytest.mark.parametrize("key", [*GOOD.values(), *BAD.values()], ids=[*GOOD, *BAD])
def test_envoy_takes_whatever_keys_somebody_wrote(tmp_path, key):
    for others in ((), BAD.values()):
        found = listened(World(rules_with(*others, key)), "a-1.default").values()
        assert not refusal(tmp_path, found)


KEY = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
ISSUER = "https://issuer.example"


def text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def token(key: rsa.RSAPrivateKey = KEY, algorithm: str = "RS256", **claims: object) -> str:
    """A token of the issuer's, unless claims say otherwise."""
    said = {"iss": ISSUER, "sub": "ann", "exp": int(time.time()) + 3600, **claims}
    signed = ".".join(text(json.dumps(part).encode()) for part in ({"alg": algorithm, "typ": "JWT"}, said))
    signature = key.sign(signed.encode(), padding.PKCS1v15(), SHA256()) if algorithm == "RS256" else b""
    return f"{signed}.{text(signature)}"


def jwks() -> str:
    numbers = KEY.public_key().public_numbers()
    modulus, exponent = (text(one.to_bytes((one.bit_length() + 7) // 8, "big")) for one in (numbers.n, numbers.e))
    return json.dumps({"keys": [{"kty": "RSA", "n": modulus, "e": exponent}]})


POLICIES = f"""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens, namespace: default}}
spec: {{jwtRules: [{{issuer: "{ISSUER}", jwks: '{jwks()}', audiences: [shop]}}, {{issuer: dead, jwksUri: http://x/}}]}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: some, namespace: default}}
spec:
  rules:
  - to: [{{operation: {{methods: [GET], paths: [/open, "/under/*", "/with/{{*}}/one", "*.css"]}}}}]
  - to: [{{operation: {{paths: [/host], hosts: ["*.Example.com"]}}}}]
  - to: [{{operation: {{paths: [/tokens]}}}}]
    from: [{{source: {{requestPrincipals: ["{ISSUER}/*"]}}}}]
  - to: [{{operation: {{paths: [/groups]}}}}]
    when: [{{key: "request.auth.claims[groups]", values: [dev]}}]
  - to: [{{operation: {{paths: [/peers]}}}}]
    from: [{{source: {{principals: ["*"]}}}}]
  - to: [{{operation: {{paths: [/nets], notMethods: [POST]}}}}]
    from: [{{source: {{ipBlocks: [127.0.0.0/8], notRemoteIpBlocks: [10.0.0.0/8]}}}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: few, namespace: default}}
spec:
  action: DENY
  rules:
  - to: [{{operation: {{paths: ["/under/ground*"]}}}}]
  - when: [{{key: "request.headers[x-evil]", values: ["*"]}}]
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[int]:
    with application(answer) as server, workload(tmp_path_factory.mktemp("envoy"), "HTTP", server, POLICIES) as port:
        connected(port).close()
        yield port


def status(port: int, path: str, *headers: str, method: str = "GET", host: str = "a") -> int:
    """The status that Envoy answers, or the application behind it."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", "content-length: 0", *headers, "connection: close", "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall("\r\n".join(lines).encode())
        return int(client.recv(4096).split()[1])


@pytest.mark.parametrize(
    ("path", "headers", "more", "expected"),
    [
        pytest.param("/open", [], {}, 200, id="what a rule allows"),
        pytest.param("/open?x=1", [], {}, 200, id="the same with a query"),
        pytest.param("/open", [], {"method": "POST"}, 403, id="another method"),
        pytest.param("/opened", [], {}, 403, id="another path"),
        pytest.param("/under/way", [], {}, 200, id="below a path"),
        pytest.param("/under/../host", [], {}, 403, id="a path that only looks as if below it"),
        pytest.param("/under/ground/1", [], {}, 403, id="what a rule denies"),
        pytest.param("/under/./ground", [], {}, 403, id="the same written in a roundabout way"),
        pytest.param("/with/any/one", [], {}, 200, id="one segment for a template"),
        pytest.param("/with/any/other/one", [], {}, 403, id="two segments for a template of one"),
        pytest.param("/a/b.css", [], {}, 200, id="the end of a path"),
        pytest.param("/open", ["x-evil: 1"], {}, 403, id="a header that is denied"),
        pytest.param("/host", [], {"host": "a.eXAMPLE.com"}, 200, id="a host in another case"),
        pytest.param("/host", [], {"host": "example.com"}, 403, id="another host"),
        pytest.param("/nets", [], {}, 200, id="an address that is allowed"),
        pytest.param("/nets", [], {"method": "POST"}, 403, id="a method that is excepted"),
        pytest.param("/peers", [], {}, 403, id="nobody, where somebody is asked for"),
    ],
)
def test_requests_pass_as_policies_say(guarded, path, headers, more, expected):
    assert status(guarded, path, *headers, **more) == expected


@pytest.mark.parametrize(
    ("path", "bearer", "expected"),
    [
        pytest.param("/tokens", None, 403, id="no token where one is asked for"),
        pytest.param("/tokens", token(aud="shop"), 200, id="a token"),
        pytest.param("/open", token(aud="bank"), 403, id="a token for others"),
        pytest.param("/open", token(aud="shop", exp=1), 401, id="an expired token"),
        pytest.param("/open", token(OTHER, aud="shop"), 401, id="a token that others signed"),
        pytest.param("/open", token(aud="shop", iss="https://else"), 401, id="a token of an unknown issuer"),
        pytest.param("/open", token(aud="shop", iss="dead"), 401, id="a token whose keys nobody could fetch"),
        pytest.param("/open", token(algorithm="none", aud="shop"), 401, id="a token that nobody signed"),
        pytest.param("/open", "x.y.z", 401, id="what is no token"),
        pytest.param("/groups", token(aud="shop", groups=["ops", "dev"]), 200, id="a claim with several values"),
        pytest.param("/groups", token(aud="shop", groups="dev"), 200, id="a claim with one value"),
        pytest.param("/groups", token(aud="shop", groups=["ops"]), 403, id="a claim with other values"),
    ],
)
def test_tokens_are_verified(guarded, path, bearer, expected):
    headers = [f"authorization: Bearer {bearer}"] if bearer else []
    assert status(guarded, path, *headers) == expected


BY_PORT = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: default}
spec: {action: %s, rules: [%s]}
"""


@pytest.mark.parametrize(
    ("action", "rule", "passes"),
    [
        pytest.param("ALLOW", "{from: [{source: {ipBlocks: [127.0.0.1]}}]}", True, id="an address that is allowed"),
        pytest.param("ALLOW", "{from: [{source: {ipBlocks: [10.0.0.1]}}]}", False, id="an address that is not"),
        pytest.param("ALLOW", "{to: [{operation: {methods: [GET]}}]}", False, id="an ALLOW about HTTP"),
        pytest.param("DENY", "{to: [{operation: {methods: [GET]}}]}", False, id="a DENY about HTTP"),
        pytest.param("DENY", "{to: [{operation: {ports: ['1']}}]}", True, id="a DENY of another port"),
        pytest.param("DENY", "{from: [{source: {notPrincipals: ['*']}}]}", False, id="a DENY of plaintext"),
        pytest.param("AUDIT", "{}", True, id="an AUDIT of all"),
    ],
)
def test_connections_pass_as_policies_say(tmp_path, action, rule, passes):
    policy = BY_PORT % (action, rule)
    with (
        application(repeat) as server,
        workload(tmp_path, "TCP", server, policy) as port,
        connected(port) as client,
    ):
        client.sendall(b"hello")
        try:
            said = client.recv(4096)
        except ConnectionResetError:
            said = b""
        assert said == (b"hello" if passes else b"")


ASK_ABOUT = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ask, namespace: default}
spec: {action: CUSTOM, provider: {name: asked}, rules: [{to: [{operation: {paths: ["/asked*"]}}]}]}
"""
AUTHORIZER = "outbound|9||b.default.svc.cluster.local"


def judge(connection: socket.socket) -> None:
    """Lets pass who shows a badge, and says who it was."""
    request = connection.recv(4096)
    if b"x-badge: yes" in request and request.startswith(b"GET /check/asked"):
        connection.sendall(b"HTTP/1.1 200 OK\r\nx-who: ann\r\ncontent-length: 0\r\n\r\n")
    else:
        connection.sendall(b"HTTP/1.1 418 No\r\ncontent-length: 0\r\n\r\n")


def asking(**more: object) -> ExtensionProvider:
    asked = EnvoyExternalAuthorizationHttpProvider(
        service="b.default.svc.cluster.local",
        port=9,
        path_prefix="/check",
        include_request_headers_in_check=("x-badge",),
        **more,
    )
    return ExtensionProvider(name="asked", envoy_ext_authz_http=asked)


def test_somebody_else_decides_about_what_a_policy_is_for(tmp_path):
    known = kube_service("default", "b", port=9)
    with (
        application(answer) as server,
        application(judge) as authorizer,
        workload(
            tmp_path, "HTTP", server, ASK_ABOUT, known, others={AUTHORIZER: authorizer}, extension_providers=(asking(),)
        ) as port,
    ):
        connected(port).close()
        assert status(port, "/asked") == 418
        assert status(port, "/asked", "x-badge: yes") == 200
        assert status(port, "/other") == 200


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param({}, 403, id="nothing passes"),
        pytest.param({"status_on_error": "503"}, 503, id="nothing passes, with the status that was asked for"),
        pytest.param({"fail_open": True}, 200, id="everything passes where that was asked for"),
    ],
)
def test_an_authorizer_that_is_gone(tmp_path, more, expected):
    known = kube_service("default", "b", port=9)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        others = {AUTHORIZER: unused.getsockname()[1]}
        with (
            application(answer) as server,
            workload(
                tmp_path, "HTTP", server, ASK_ABOUT, known, others=others, extension_providers=(asking(**more),)
            ) as port,
        ):
            connected(port).close()
            assert status(port, "/asked") == expected
            assert status(port, "/other") == 200


def test_a_provider_that_is_missing_denies(tmp_path):
    with application(answer) as server, workload(tmp_path, "HTTP", server, ASK_ABOUT) as port:
        connected(port).close()
        assert status(port, "/asked") == 403
        assert status(port, "/other") == 200


HOSTILE = {
    "a template without a slash": '{to: [{operation: {paths: ["{*}"]}}]}',
    "a template with an empty segment": '{to: [{operation: {paths: ["//{*}"]}}]}',
    "a template without end": '{to: [{operation: {paths: ["/{*}/%s"]}}]}' % ("x" * 3000),
    "a header with a line break": '{when: [{key: "request.headers[a\\nb]", values: ["a"]}]}',
    "a header with a zero byte": '{when: [{key: "request.headers[a\\0b]", values: ["a"]}]}',
    "an expression without end": "{from: [{source: {namespaces: [%s]}}]}" % ("x" * 100_000),
    "stars without end": '{from: [{source: {namespaces: ["%s"]}}]}' % ("*" * 5000),
}


@pytest.mark.parametrize("rule", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("action", ["ALLOW", "DENY"])
def test_envoy_takes_what_is_left_of_a_hostile_policy(tmp_path, rule, action):
    found = listened(World(BY_PORT % (action, rule)), "a-1.default").values()
    assert not refusal(tmp_path, found)
