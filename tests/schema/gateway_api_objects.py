"""Objects of the Gateway API and of Ingress, from as few words as a case needs."""

import yaml

from pilotpy.schema import codes
from pilotpy.schema.admission import admitted

GROUPS = {
    "InferencePool": "inference.networking.k8s.io/v1",
    "Ingress": "networking.k8s.io/v1",
    "IngressClass": "networking.k8s.io/v1",
}


def written(kind, spec, version=None):
    version = version or GROUPS.get(kind, "gateway.networking.k8s.io/v1")
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": yaml.safe_load(spec)}


def right(kind, spec, version=None):
    resource, findings = admitted(written(kind, spec, version))
    assert [(one.code, one.field) for one in findings] == [(codes.NOT_COMPILED, "kind")]
    return resource


def listeners(*written):
    return f"{{gatewayClassName: istio, listeners: [{', '.join(written)}]}}"


def rule(text):
    return f"{{rules: [{text}]}}"


def backend(text):
    return f"{{rules: [{{backendRefs: [{text}]}}]}}"


def filtered(text):
    return f"{{rules: [{{filters: [{text}]}}]}}"


def policy(validation, targets="[{group: '', kind: Service, name: a}]"):
    return f"{{targetRefs: {targets}, validation: {validation}}}"


def gateway(rest):
    return f"{{gatewayClassName: istio, listeners: [{HTTP}], {rest}}}"


HTTP = "{name: http, port: 80, protocol: HTTP}"
RULE, FILTER = "spec.rules[0]", "spec.rules[0].filters[0]"
