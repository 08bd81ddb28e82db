"""What is doubtful about Gateways: their ports, rivals and certificates."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.analyze.analysis import said

PODS = """
kind: Pod
metadata: {name: in-1, namespace: istio-system, labels: {istio: ingressgateway, app: ingress}}
---
kind: Service
metadata: {name: in, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, ports: [{name: http, port: 80, targetPort: 8080}, {name: tls, port: 443}]}
---
"""


def gateway(name, port, *hosts, selector="istio: ingressgateway", bind="", tls=""):
    settings = f", tls: {{mode: SIMPLE, {tls}}}" if tls else ""
    return f"""
kind: Gateway
metadata: {{name: {name}, namespace: shop}}
spec:
  selector: {{{selector}}}
  servers: [{{port: {{number: {port}, name: a, protocol: HTTP}}, bind: "{bind}", hosts: [{",".join(hosts)}]{settings}}}]
---
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(gateway("a", 80, "a.com"), [], id="a port of the Service"),
        pytest.param(gateway("a", 8080, "a.com"), [], id="a port that the Service leads to"),
        pytest.param(gateway("a", 443, "a.com"), [], id="a port of the Service that is its own target"),
        pytest.param(
            gateway("a", 81, "a.com"),
            [("IST0162", "a", "spec.servers[0].port.number")],
            id="a port that no Service has",
        ),
        pytest.param(
            gateway("a", 80, "a.com", selector="istio: typo"),
            [("IST0101", "a", "spec.selector")],
            id="a selector that picks nobody",
        ),
        pytest.param(gateway("a", 80, "a.com", selector=""), [], id="no selector is for all"),
    ],
)
def test_ports(text, expected):
    assert said(PODS + text) == expected


A = gateway("a", 80, "a.com")
RIVALS = [("IST0145", "a", "spec.servers[0].hosts"), ("IST0145", "b", "spec.servers[0].hosts")]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        pytest.param(gateway("b", 80, "a.com", "b.com"), RIVALS, id="one host of one port twice"),
        pytest.param(gateway("b", 80, "b.com"), [], id="another host"),
        pytest.param(gateway("b", 443, "a.com"), [], id="another port"),
        pytest.param(gateway("b", 80, "a.com", bind="10.0.0.1"), [], id="another address"),
        pytest.param(
            gateway("b", 80, "a.com", selector="istio: ingressgateway, app: ingress"), RIVALS, id="some of its Pods"
        ),
        pytest.param(
            gateway("b", 80, "a.com", selector="istio: ingressgateway, app: none"),
            [],
            id="a selector that no Pod meets",
        ),
    ],
)
def test_rivals(other, expected):
    assert said(PODS + A + other, "IST0145") == expected


@pytest.mark.parametrize(
    ("first", "second", "doubtful"),
    [
        pytest.param("credentialName: x", "credentialName: x", ["a", "b"], id="one Secret"),
        pytest.param("credentialName: x", "credentialName: z", [], id="two Secrets"),
        pytest.param(
            "serverCertificate: c, privateKey: k", "serverCertificate: c, privateKey: k", ["a", "b"], id="one file"
        ),
        pytest.param("serverCertificate: c, privateKey: k", "serverCertificate: c, privateKey: l", [], id="two keys"),
    ],
)
def test_certificates_that_two_gateways_have(first, second, doubtful):
    text = PODS + gateway("a", 443, "a.com", tls=first) + gateway("b", 443, "b.com", tls=second)
    assert [name for _, name, _ in said(text, "IST0138")] == doubtful


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def certificate(until):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.com")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = builder.not_valid_before(NOW - timedelta(days=9)).not_valid_after(until).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode().replace("\n", "\\n")


@pytest.mark.parametrize(
    ("secret", "code"),
    [
        pytest.param("", "IST0101", id="no Secret"),
        pytest.param("stringData: {cert: x}", "IST0161", id="no key"),
        pytest.param("stringData: {tls.crt: x, tls.key: k}", "IST0161", id="not a certificate"),
        pytest.param(
            f'stringData: {{tls.crt: "{certificate(NOW - timedelta(hours=1))}", tls.key: k}}',
            "IST0161",
            id="an old one",
        ),
        pytest.param(
            f'stringData: {{tls.crt: "{certificate(NOW + timedelta(hours=1))}", tls.key: k}}', "", id="a good one"
        ),
        pytest.param(
            f'stringData: {{cert: "{certificate(NOW + timedelta(hours=1))}", key: k}}', "", id="a good one, older keys"
        ),
    ],
)
def test_credentials(secret, code):
    text = PODS + gateway("a", 443, "a.com", tls="credentialName: x")
    if secret:
        text += f"kind: Secret\nmetadata: {{name: x, namespace: istio-system}}\n{secret}\n"
    expected = [(code, "a", "spec.servers[0].tls.credentialName")] if code else []
    assert said(text, now=NOW) == expected


@pytest.mark.parametrize(
    ("listener", "expected"),
    [
        pytest.param("hostname: a.com", [], id="a listener for the host"),
        pytest.param("hostname: '*.com'", [], id="a listener for all such hosts"),
        pytest.param("", [], id="a listener for all hosts"),
        pytest.param("hostname: b.com", [("IST0132", "a", "spec.hosts")], id="a listener for another"),
    ],
)
def test_a_gateway_of_the_gateway_api_may_be_named_by_routes(listener, expected):
    text = f"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge, namespace: shop}}
spec: {{gatewayClassName: istio, listeners: [{{name: http, port: 80, protocol: HTTP, {listener}}}]}}
---
kind: VirtualService
metadata: {{name: a, namespace: shop}}
spec: {{hosts: [a.com], gateways: [edge], http: [{{redirect: {{uri: /}}}}]}}
"""
    assert said(text, "IST0101", "IST0132") == expected
