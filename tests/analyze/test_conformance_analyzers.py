"""Istio's own cases for its analyzers, over all that an analysis says."""

import json
from collections import Counter
from pathlib import Path

import pytest

import pilotpy
from pilotpy.cli.findings import as_written

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "conformance" / "analyzers"

DIFFERENT = {
    "InconsistentMultiClusterService": "an analysis is of one cluster",
}
"""Cases that are judged otherwise here, and why."""


def cases():
    path = FOLDER / "cases.json"
    found = json.loads(path.read_text())["cases"] if path.exists() else []
    return [pytest.param(case, id=case["name"]) for case in found] or [
        pytest.param(None, marks=pytest.mark.skip(reason="no cases beside this repository"))
    ]


def file(case, key):
    return FOLDER / case[key] if case.get(key) else None


@pytest.mark.parametrize("case", cases())
def test_what_istio_says(case):
    if reason := DIFFERENT.get(case["name"]):
        pytest.skip(reason)
    mesh = pilotpy.load(
        *(FOLDER / path for path in case["inputs"]),
        mesh_config=file(case, "mesh_config_file"),
        mesh_networks=file(case, "mesh_networks_file"),
        default_resources=True,
    )
    found = Counter(
        (one.code, one.severity.value, tuple(one.ref or ()))
        for one in (as_written(finding, mesh.implied) for finding in mesh.findings)
    )
    expected = Counter()
    for one in case["expect"]:
        resource = one["resource"]
        named = (resource["kind"], resource.get("namespace", ""), resource["name"])
        expected[(one["code"], one["level"], named)] += 1
    extra = found - expected
    unexpected = {key: n for key, n in extra.items() if key[0] in case["exclusive_codes"] or key in expected}
    assert (dict(expected - found), unexpected) == ({}, {}), "\n".join(map(str, mesh.findings))
