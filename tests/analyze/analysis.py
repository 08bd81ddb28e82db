"""What an analysis says of objects that are written as users write them."""

from datetime import UTC, datetime

from pilotpy.analyze.doubts import CHECKS, doubts
from pilotpy.analyze.kinds import KIND_OF, NOW
from pilotpy.engine import Engine, Put
from pilotpy.model.resource import Ref
from pilotpy.schema.decode import decode_object
from pilotpy.schema.documents import documents

VERSIONS = {
    "Namespace": "v1",
    "Pod": "v1",
    "Service": "v1",
    "Secret": "v1",
    "ConfigMap": "v1",
    "Deployment": "apps/v1",
    "RequestAuthentication": "security.istio.io/v1",
    "AuthorizationPolicy": "security.istio.io/v1",
    "Telemetry": "telemetry.istio.io/v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "MutatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
    "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
}
"""The apiVersion of each kind but those of Istio's networking."""


def written(text):
    """Return objects; those that name no apiVersion or namespace get theirs."""
    read = documents(text, "in.yaml")
    assert not read.findings, read.findings
    for document in read.objects:
        kind = document.raw["kind"]
        decoded = decode_object({"apiVersion": VERSIONS.get(kind, "networking.istio.io/v1"), **document.raw})
        assert decoded.resource, decoded.findings
        yield decoded.resource


def engine_with(*objects, now=None):
    engine = Engine()
    puts = [Put(KIND_OF[one.ref.kind], (one.ref.namespace, one.ref.name), one) for one in objects]
    engine.apply([*puts, Put(NOW, ("",), now or datetime(2026, 1, 1, tzinfo=UTC))])
    return engine


def findings(text, now=None):
    engine = engine_with(*written(text), now=now)
    refs = sorted(Ref(kind, *key) for kind in CHECKS for key, _ in engine.objects(KIND_OF[kind]))
    return [finding for ref in refs for finding in engine.ask(doubts, ref)]


def said(text, *codes, now=None):
    """Return (code, name, field) of all findings, or of those with some codes."""
    found = findings(text, now)
    return [(one.code, one.ref.name, one.field) for one in found if not codes or one.code in codes]
