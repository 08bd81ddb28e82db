"""The Gateway API's kinds and Ingress: what is wrong is said where it stands."""

import pytest

from pilotpy.model.resource import Severity
from pilotpy.schema import codes
from pilotpy.schema.admission import admitted
from pilotpy.schema.documents import documents
from tests.schema import wrong_gateways, wrong_http_routes, wrong_others
from tests.schema.gateway_api_objects import listeners, rule, written

WRONG = [*wrong_gateways.WRONG, *wrong_http_routes.WRONG, *wrong_others.WRONG]


@pytest.mark.parametrize(("kind", "spec", "fields"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_an_api_server_refuses_is_refused(kind, spec, fields):
    resource, findings = admitted(written(kind, spec))
    assert resource is None
    assert sorted(one.field for one in findings) == sorted(fields), findings
    assert {(one.code, one.severity) for one in findings} == {(codes.INVALID, Severity.ERROR)}


def test_a_description_says_what_is_expected():
    (finding,) = admitted(written("HTTPRoute", "{hostnames: [a_b]}")).findings
    assert finding.message == (
        "Expected a host name in small letters, such as shop.example.com or *.example.com, found 'a_b'"
    )


def test_a_choice_that_is_misspelt_by_case_is_recognised():
    (finding,) = admitted(written("HTTPRoute", rule("{matches: [{path: {type: pathprefix}}]}"))).findings
    assert finding.hint == "Did you mean PathPrefix?"


@pytest.mark.parametrize(
    ("namespaces", "field"),
    [
        ("{from: Selector}", "selector"),
        (
            "{from: Selector, selector: {matchExpressions: [{key: a, operator: in}]}}",
            "selector.matchExpressions[0].operator",
        ),
    ],
    ids=["no selector", "an operator that nobody knows"],
)
def test_a_choice_of_no_namespaces_is_doubtful(namespaces, field):
    listener = f"{{name: a, port: 80, protocol: HTTP, allowedRoutes: {{namespaces: {namespaces}}}}}"
    resource, findings = admitted(written("Gateway", listeners(listener)))
    assert resource is not None
    assert [(one.code, one.field) for one in findings] == [
        (codes.DUBIOUS, f"spec.listeners[0].allowedRoutes.namespaces.{field}"),
        (codes.NOT_COMPILED, "kind"),
    ]


def test_findings_stand_at_their_line():
    text = (
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: x}\nspec:\n  rules:\n  - name: A\n"
    )
    (document,) = documents(text, "route.yaml").objects
    (finding,) = admitted(document.raw).findings
    assert document.lines.line(finding.field) == 6
