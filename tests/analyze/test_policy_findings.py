"""What users are told of policies that do not do what they say, each with its file, its line and what mends it."""

import pytest

from pilotpy import api

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: pay-1, namespace: shop, labels: {app: pay}}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: shop}
spec: {clusterIP: 10.96.0.1, selector: {app: pay}, ports: [{name: tcp, port: 80}]}
"""


HEAD = """apiVersion: security.istio.io/v1
kind: {kind}
metadata: {{name: p, namespace: shop}}
spec:
"""


def policy(rule="{}", action="ALLOW", more=""):
    return HEAD.format(kind="AuthorizationPolicy") + f"  action: {action}\n  {more}\n  rules:\n  - {rule}\n"


def tokens(spec):
    return HEAD.format(kind="RequestAuthentication") + f"  {spec}\n"


CASES = {
    "a star inside a path": (policy('{to: [{operation: {paths: ["/v*/pay*"]}}]}'), "IST0133", 8, "/{*}/pay"),
    "a star inside a method": (policy('{to: [{operation: {methods: ["*E*"]}}]}'), "IST0133", 8, "one by one"),
    "a policy that selects nobody": (policy(more="selector: {matchLabels: {app: x}}"), "IST0127", 6, "labels"),
    "what HTTP alone has on a port that is not HTTP": (
        policy("{to: [{operation: {methods: [GET]}}]}"),
        "PP0403",
        8,
        "operation.ports",
    ),
    "keys that are not at hand": (tokens("jwtRules: [{issuer: i, jwksUri: https://i/keys}]"), "PP0404", 5, "jwks"),
    "rules for the tokens of nobody": (
        tokens("selector: {matchLabels: {app: x}}"),
        "IST0127",
        5,
        "labels",
    ),
    "a principal of nobody": (
        policy("{from: [{source: {principals: [td/ns/a/sa/b]}}]}"),
        "PP0402",
        8,
        "trustDomainAliases",
    ),
    "a provider that there is not": (
        policy(action="CUSTOM", more="provider: {name: x}"),
        "PP0405",
        6,
        "extensionProviders",
    ),
    "a policy that cannot be used": (policy(action="DNEY"), "PP0009", 1, "Mend"),
}


@pytest.mark.parametrize(("text", "code", "line", "hint"), CASES.values(), ids=CASES)
def test_a_policy_is_doubted(tmp_path, text, code, line, hint):
    (tmp_path / "pods.yaml").write_text(PODS)
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    found = [one for one in api.load(tmp_path).findings if one.code == code and one.file == str(file)]
    assert [(one.line, hint in one.hint) for one in found] == [(line, True)]


def test_policies_that_do_what_they_say_are_not_doubted(tmp_path):
    (tmp_path / "pods.yaml").write_text(PODS.replace("name: tcp", "name: http"))
    rule = '{to: [{operation: {paths: ["/v/*", "*/x", "*", "/{*}/y/{**}"], hosts: ["*.a"]}}]}'
    (tmp_path / "policy.yaml").write_text(policy(rule))
    assert api.load(tmp_path).findings == ()


def test_the_founders_policy_is_doubted_at_its_path(repository):
    file = repository.parent / "shared" / "cases" / "mtls-and-authorization.yaml"
    if not file.exists():
        pytest.skip("no cases beside this repository")
    (found,) = [one for one in api.load(file).findings if one.code == "IST0133"]
    line = file.read_text().splitlines()[found.line - 1]
    assert "/api/v*/payments*" in line
    assert "/api/{*}/payments" in found.hint
