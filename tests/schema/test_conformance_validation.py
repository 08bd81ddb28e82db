"""Resources that Istio accepts, warns about or refuses, held against its own table of cases."""

import base64
import json
from pathlib import Path

import pytest

from pilotpy.model.resource import Severity
from pilotpy.schema import codes
from pilotpy.schema.decode import decode_object
from pilotpy.schema.documents import documents
from pilotpy.schema.mesh_config import mesh_config, mesh_networks
from pilotpy.schema.validation import validate

CASES = Path(__file__).parents[2] / ".." / "shared" / "conformance" / "validation"

DIFFERENT = {
    "peerauth-invalid.yaml#3:empty-port-level": "an empty mapping says what a missing one says",
    "wasm-invalid.yaml#5:invalid-imagePullSecret": "an empty text says what a missing one says",
    "TestValidateK8sGateway/happy k8s gateway-api server with no attached routes": "only for objects made by istiod",
    "TestValidateEnvoyFilter/invalid patch value": "values of patches are held against Envoy's types where they apply",
    "TestValidateEnvoyFilter/deprecated config": "likewise",
    **dict.fromkeys(
        (
            "TestValidateHTTPRoute/match with nil element",
            "TestValidateHTTPRoute/valid mirror percentage",
            "TestValidateHTTPRoute/mirrors valid mirror percentage",
            "TestValidateDelegateHTTPRoute/match with nil element",
        ),
        "an API server refuses null in a list",
    ),
}
"""Cases that are judged otherwise here, and why."""


def cases(file):
    path = CASES / f"{file}.json"
    found = json.loads(path.read_text())["cases"] if path.exists() else []
    return [pytest.param(case, id=case["name"]) for case in found] or [
        pytest.param(None, marks=pytest.mark.skip(reason=f"{file}.json is not here"))
    ]


def text_of(case):
    text = case["input"]
    for name, large in case.get("placeholders", {}).items():
        content = large["repeat"] * large["count"]
        text = text.replace(name, base64.b64encode(content.encode()).decode() if large.get("base64") else content)
    return text


@pytest.mark.parametrize("case", [*cases("crd_samples"), *cases("direct"), *cases("derived")])
def test_a_resource(case):
    if reason := DIFFERENT.get(case["name"]) or case.get("unreliable"):
        pytest.skip(reason)
    found = documents(text_of(case), "case.yaml")
    findings = list(found.findings)
    for document in found.objects:
        resource, said = decode_object(document.raw)
        findings += said
        if resource is not None:
            findings += validate(resource)
    said = [(finding.severity.value, finding.field, finding.message) for finding in findings]
    expected = case["expect"]
    assert any(finding.severity is Severity.ERROR for finding in findings) is not expected["valid"], said
    if expected["valid"] and expected.get("warning") is not None:
        assert any(finding.severity is not Severity.ERROR for finding in findings) is expected["warning"], said


@pytest.mark.parametrize("case", cases("mesh_config"))
def test_a_mesh_configuration(case):
    if reason := DIFFERENT.get(case["name"]):
        pytest.skip(reason)
    read = mesh_networks if case["input_type"] == "meshnetworks" else mesh_config
    config, findings = read(text_of(case), "mesh.yaml")
    findings = [finding for finding in findings if finding.code != codes.NOT_COMPILED]
    said = [(finding.severity.value, finding.field, finding.message) for finding in findings]
    if case["input_type"] == "extension_provider":  # warned about, because it matters only once it is used
        assert (not findings) is case["expect"]["valid"], said
        return
    assert (config is not None) is case["expect"]["valid"], said
    if config is not None and case["expect"].get("warning") is not None:
        assert bool(findings) is case["expect"]["warning"], said
