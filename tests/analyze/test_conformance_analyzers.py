"""Istio's own cases for its analyzers, as far as they are about what is checked here."""

import json
from collections import Counter

import msgspec

from pilotpy.analyze.doubts import doubts
from pilotpy.engine import Engine, Put
from pilotpy.mesh.kinds import KIND_OF, MESH_CONFIG
from pilotpy.model.mesh_config import MeshConfig
from pilotpy.schema.decode import decode_object
from pilotpy.schema.documents import documents
from tests.mesh.world import kube_service, pod

HERE = {
    "sidecar.SelectorAnalyzer",
    "sidecar.DefaultSelectorAnalyzer",
    "destinationrule.PodNotSelectedAnalyzer",
    "destinationrule.CaCertificateAnalyzer",
    "serviceentry.ProtocolAddressesAnalyzer",
    "serviceentry.ConflictingServiceEntryProtocolAnalyzer",
    "service.PortNameAnalyzer",
    "authz.AuthorizationPoliciesAnalyzer",
    "virtualservice.GatewayAnalyzer",
}

ELSEWHERE = {
    "virtualServiceKubernetesGateways": "gateways of the Gateway API are not read yet",
}


def cases(folder):
    return [case for case in json.loads((folder / "cases.json").read_text())["cases"] if case["analyzer"] in HERE]


def world(folder, case):
    found = [kube_service("istio-system", "istio-ingressgateway")]
    found.append(pod("istio-system", "istio-ingressgateway", "10.9.0.1", istio="ingressgateway"))
    for name in case["inputs"]:
        read = documents((folder / name).read_bytes(), name)
        found += [one for document in read.objects if (one := decode_object(document.raw).resource)]
    engine = Engine()
    known = [one for one in found if one.ref.kind in KIND_OF]
    engine.apply(Put(KIND_OF[one.ref.kind], (one.ref.namespace, one.ref.name), one) for one in known)
    if case.get("mesh_config_file"):
        raw = documents((folder / case["mesh_config_file"]).read_bytes(), "mesh.yaml").objects[0].raw
        engine.apply([Put(MESH_CONFIG, ("",), msgspec.convert(raw, MeshConfig))])
    return engine, [one.ref for one in known]


def test_istios_cases(conformance):
    folder = conformance / "analyzers"
    checked = 0
    said = []
    for case in cases(folder):
        if case["name"] in ELSEWHERE:
            continue
        engine, refs = world(folder, case)
        found = Counter()
        for ref in refs:
            for finding in engine.ask(doubts, ref):
                found[(finding.code, finding.severity.value, ref.kind, ref.namespace, ref.name)] += 1
        expected = Counter(
            (one["code"], one["level"], kind, one["resource"].get("namespace") or "default", one["resource"]["name"])
            for one in case["expect"]
            if (kind := one["resource"]["kind"])
        )
        missing = expected - found
        extra = Counter({key: n for key, n in (found - expected).items() if key[0] in case["exclusive_codes"]})
        checked += 1
        if missing or extra:
            said.append(f"{case['name']}: missing {dict(missing)}, too much {dict(extra)}")
    assert checked >= 15
    assert not said, "\n".join(said)
