"""Policies that break: the last good ones stay, and where there are none, what they are for is shut."""

import pytest

from pilotpy.model.resource import Ref
from pilotpy.sources.folder import Folder

GOOD = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: shop}
spec: {selector: {matchLabels: {app: a}}, action: DENY, rules: [{to: [{operation: {ports: ["80"]}}]}]}
"""
REF = Ref("AuthorizationPolicy", "shop", "p")

BROKEN = {
    "an unknown action": GOOD.replace("DENY", "DNEY"),
    "a value that Istio refuses": GOOD.replace('"80"', '"eighty"'),
    "a wrong type": GOOD.replace("rules: [{to", "rules: [7, {to"),
}


def read(path, text):
    folder = Folder([path])
    (path / "p.yaml").write_text(text)
    return folder, {change.ref: change.new for change in folder.load()}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_policy_that_was_never_good_shuts_its_workloads(tmp_path, text):
    folder, objects = read(tmp_path, text)
    spec = objects[REF].spec
    assert (spec.action, spec.rules, spec.selector.match_labels) == ("ALLOW", (), {"app": "a"})
    shut = [one for one in folder.findings if one.code == "PP0009"]
    assert [(one.ref, one.line) for one in shut] == [(REF, 2)]
    assert "refused" in shut[0].message


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_policy_that_was_good_stays(tmp_path, text):
    folder, objects = read(tmp_path, GOOD)
    (tmp_path / "p.yaml").write_text(text)
    assert folder.load() == []
    assert objects[REF].spec.action == "DENY"
    assert "PP0009" not in {one.code for one in folder.findings}


def test_a_policy_that_is_mended_counts(tmp_path):
    folder, _ = read(tmp_path, BROKEN["an unknown action"])
    (tmp_path / "p.yaml").write_text(GOOD)
    assert [change.new.spec.action for change in folder.load()] == ["DENY"]
    assert folder.findings == ()


def test_a_selector_that_cannot_be_read_is_the_whole_namespace(tmp_path):
    _, objects = read(tmp_path, BROKEN["a wrong type"].replace("{app: a}", "[app]"))
    assert objects[REF].spec.selector is None


def test_what_goes_by_name_to_gateways_shuts_no_workload(tmp_path):
    text = BROKEN["an unknown action"].replace("selector: {matchLabels: {app: a}}", "targetRefs: [{kind: Gateway}]")
    assert REF not in read(tmp_path, text)[1]


def test_a_policy_on_trial_stays_on_trial(tmp_path):
    text = BROKEN["a wrong type"].replace("namespace: shop", 'namespace: shop, annotations: {istio.io/dry-run: "true"}')
    assert read(tmp_path, text)[1][REF].meta.annotations == {"istio.io/dry-run": "true"}


@pytest.mark.parametrize(
    ("kind", "wrong", "shut"),
    [
        pytest.param("PeerAuthentication", "mtls: {mode: LAX}", "STRICT", id="mutual TLS is strict"),
        pytest.param("RequestAuthentication", "jwtRules: [{jwks: '{}'}]", "", id="no token is valid"),
    ],
)
def test_other_policies_shut_what_they_are_about(tmp_path, kind, wrong, shut):
    text = (
        f"apiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: p, namespace: shop}}\nspec: {{{wrong}}}\n"
    )
    spec = read(tmp_path, text)[1][Ref(kind, "shop", "p")].spec
    assert (spec.mtls.mode if kind == "PeerAuthentication" else spec.jwt_rules[0].issuer) == shut
