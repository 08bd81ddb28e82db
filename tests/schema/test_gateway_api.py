"""The Gateway API's kinds and Ingress: what is right is read whole."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from pilotpy.model.resource import Ref
from pilotpy.schema import codes
from pilotpy.schema.admission import admitted
from pilotpy.schema.documents import documents
from tests.schema.gateway_api_objects import gateway, right

CASES = Path(__file__).parents[2] / ".." / "shared" / "conformance" / "gateway-api-conformance"

PLACES = {
    "{GATEWAY_CLASS_NAME}": "istio",
    "{GATEWAY_CONTROLLER_NAME}": "istio.io/gateway-controller",
    "PLACEHOLDER_USABLE_ADDRS": "198.51.100.1",
    "PLACEHOLDER_UNUSABLE_ADDRS": "198.51.100.2",
}
"""What stands in the manifests for what an implementation says."""


def manifests():
    found = sorted((CASES / "manifests").rglob("*.yaml"))
    return [pytest.param(path, id=path.relative_to(CASES / "manifests").as_posix()) for path in found] or [
        pytest.param(None, marks=pytest.mark.skip(reason="no cases beside this repository"))
    ]


@pytest.mark.parametrize("path", manifests())
def test_what_an_api_server_takes_is_read_without_a_word_but_that_it_is_not_served(path):
    text = path.read_text()
    for name, value in PLACES.items():
        text = text.replace(name, value)
    found = documents(text, path.name)
    findings = list(found.findings)
    for document in found.objects:
        resource, said = admitted(document.raw)
        assert resource is not None, said
        findings += [one for one in said if one.code != codes.NOT_COMPILED]
    assert findings == []


def test_each_object_is_said_once_to_have_no_effect_yet():
    cases = json.loads((CASES / "tests.json").read_text())["tests"] if CASES.exists() else []
    if not cases:
        pytest.skip("no cases beside this repository")
    text = (CASES / "manifests" / "base" / "manifests.yaml").read_text().replace("{GATEWAY_CLASS_NAME}", "istio")
    for document in documents(text, "base.yaml").objects:
        ours = document.raw["apiVersion"].startswith("gateway.networking.k8s.io/")
        said = [one.code for one in admitted(document.raw).findings]
        assert said == [codes.NOT_COMPILED] * ours


def test_a_gateway_is_told_from_istios():
    gateway = right("Gateway", "{gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}")
    assert gateway.ref == Ref("KubernetesGateway", "default", "x")
    (listener,) = gateway.spec.listeners
    assert (listener.hostname, listener.allowed_routes.namespaces.from_) == ("", "Same")
    istios = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "x"}, "spec": {}}
    assert admitted(istios, strict=False).resource.ref == Ref("Gateway", "default", "x")


def test_a_route_without_words_takes_everything():
    (rule,) = right("HTTPRoute", "{parentRefs: [{name: edge}]}").spec.rules
    (match,) = rule.matches
    assert (match.path.type, match.path.value, match.headers) == ("PathPrefix", "/", ())


def test_durations_are_durations():
    rule = "{timeouts: {request: 1m30s, backendRequest: 500ms}, retry: {attempts: 2, backoff: 0s}}"
    (rule,) = right("HTTPRoute", f"{{rules: [{rule}]}}").spec.rules
    assert rule.timeouts.request == timedelta(seconds=90)
    assert rule.timeouts.backend_request == timedelta(milliseconds=500)
    assert rule.retry.backoff == timedelta(0)


def test_classes_have_no_namespace():
    assert right("GatewayClass", "{controllerName: istio.io/gateway-controller}").ref.namespace == ""
    assert right("IngressClass", "{controller: istio.io/ingress-controller}").ref.namespace == ""


@pytest.mark.parametrize(
    ("version", "spec"),
    [
        ("v1alpha2", "{rules: [{backendRefs: [{name: a, port: 443}]}, {backendRefs: [{name: b, port: 443}]}]}"),
        ("v1alpha3", "{hostnames: [a.com], rules: [{backendRefs: [{name: a, port: 443}]}]}"),
        ("v1", "{hostnames: [a.com], rules: [{backendRefs: [{name: a, port: 443}]}]}"),
    ],
)
def test_older_versions_are_read_as_they_were(version, spec):
    assert right("TLSRoute", spec, f"gateway.networking.k8s.io/{version}").spec.rules[0].backend_refs[0].name == "a"


def test_what_gateways_said_of_certificates_before_is_read():
    listener = "{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}], frontendValidation: %s}}"
    roots = "{caCertificateRefs: [{group: '', kind: ConfigMap, name: roots}]}"
    backends = "backendTLS: {clientCertificateRef: {name: c}}"
    spec = right("Gateway", f"{{gatewayClassName: istio, listeners: [{listener % roots}], {backends}}}").spec
    assert spec.listeners[0].tls.frontend_validation.ca_certificate_refs[0].name == "roots"
    assert spec.backend_tls.client_certificate_ref.kind == "Secret"


def test_an_address_of_a_type_of_ones_own_may_be_there_twice():
    spec = gateway("addresses: [{type: a.com/pool, value: b}, {type: a.com/pool, value: b}]")
    assert len(right("Gateway", spec).spec.addresses) == 2
