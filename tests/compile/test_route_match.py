"""What requests must be like, and what of it the control plane checks itself."""

import pytest

from tests.compile.routing import TO_REVIEWS, findings, hosts, only, ruled, ruled_world, seen


@pytest.mark.parametrize(
    ("match", "want"),
    [
        pytest.param("uri: {exact: /a}", {"path": "/a"}, id="an exact path"),
        pytest.param("uri: {prefix: /a}", {"prefix": "/a"}, id="a prefix"),
        pytest.param("uri: {regex: /a.*}", {"safe_regex": {"regex": "/a.*"}}, id="an expression"),
        pytest.param(
            "{uri: {prefix: /a}, ignoreUriCase: true}", {"prefix": "/a", "case_sensitive": False}, id="in any case"
        ),
        pytest.param(
            "headers: {user: {exact: qxh}, a: {prefix: b}}",
            {
                "headers": [
                    {"name": "a", "string_match": {"prefix": "b"}},
                    {"name": "user", "string_match": {"exact": "qxh"}},
                ]
            },
            id="headers sorted by name",
        ),
        pytest.param(
            "headers: {x: {}}", {"headers": [{"name": "x", "present_match": True}]}, id="a header that is just there"
        ),
        pytest.param(
            'headers: {x: {regex: "*"}}',
            {"headers": [{"name": "x", "present_match": True}]},
            id="a star for any value of a header",
        ),
        pytest.param(
            "withoutHeaders: {x: {exact: a}, z: {}}",
            {
                "headers": [
                    {
                        "name": "x",
                        "string_match": {"exact": "a"},
                        "invert_match": True,
                        "treat_missing_header_as_empty": True,
                    },
                    {"name": "z", "present_match": True, "invert_match": True},
                ]
            },
            id="headers that must not match",
        ),
        pytest.param(
            "{method: {exact: GET}, authority: {prefix: a}, scheme: {exact: https}}",
            {
                "headers": [
                    {"name": ":method", "string_match": {"exact": "GET"}},
                    {"name": ":authority", "string_match": {"prefix": "a"}},
                    {"name": ":scheme", "string_match": {"exact": "https"}},
                ]
            },
            id="what is no header to the user",
        ),
        pytest.param(
            "queryParams: {b: {exact: x}, a: {}}",
            {
                "query_parameters": [
                    {"name": "a", "present_match": True},
                    {"name": "b", "string_match": {"exact": "x"}},
                ]
            },
            id="query parameters",
        ),
        pytest.param(
            'headers: {"@request.auth.claims[group][id]": {exact: dev}}',
            {
                "dynamic_metadata": [
                    {
                        "filter": "envoy.filters.http.jwt_authn",
                        "path": [{"key": "payload"}, {"key": "group"}, {"key": "id"}],
                        "value": {
                            "or_match": {
                                "value_matchers": [
                                    {"list_match": {"one_of": {"string_match": {"exact": "dev"}}}},
                                    {"string_match": {"exact": "dev"}},
                                ]
                            }
                        },
                    }
                ]
            },
            id="a claim of a token",
        ),
        pytest.param("{port: 80}", {}, id="the port of the listener"),
        pytest.param("{gateways: [mesh, x]}", {}, id="sidecars named"),
        pytest.param(
            "{gateways: [mesh], sourceLabels: {a: b}}", {}, id="gateways named, so nothing is asked of the client"
        ),
    ],
)
def test_a_match_becomes(match, want):
    listed = match if match.startswith("{") else f"{{{match}}}"
    found = only(f"- match: [{listed}]\n  {TO_REVIEWS}")["match"]
    expected = {"case_sensitive": True, **want}
    if not {"path", "safe_regex"} & expected.keys():
        expected.setdefault("prefix", "/")
    assert found == expected


@pytest.mark.parametrize(
    "match",
    ["{port: 9080}", "{gateways: [x]}", "{sourceLabels: {app: a}}", "{sourceNamespace: other}"],
)
def test_a_rule_that_cannot_hold_leaves_the_default(match):
    (route,) = ruled(f"- match: [{match}]\n  {TO_REVIEWS}")
    assert route["name"] == "default"


@pytest.mark.parametrize(
    ("match", "namespace", "labels"),
    [
        pytest.param("{sourceLabels: {app: a}}", "default", (("app", "a"),), id="the labels asked for"),
        pytest.param("{sourceNamespace: other}", "other", (), id="the namespace asked for"),
        pytest.param(
            "{sourceNamespace: other, sourceLabels: {app: a}}", "other", (("app", "a"), ("b", "c")), id="both"
        ),
    ],
)
def test_a_client_that_has(match, namespace, labels):
    world = ruled_world(f"- match: [{match}]\n  directResponse: {{status: 204}}")
    host = hosts(world, by=seen(world, namespace, labels))["reviews.default.svc.cluster.local:80"]
    assert host.routes[0].direct_response.status == 204


@pytest.mark.parametrize(
    "match",
    ['uri: {regex: "(?=a)"}', 'headers: {x: {regex: "["}}', "queryParams: {x: {prefix: ''}}", 'uri: {regex: ""}'],
)
def test_a_match_that_envoy_would_refuse_is_left_out_and_said(match):
    world = ruled_world(f"- match: [{{{match}}}, {{uri: {{prefix: /b}}}}]\n  {TO_REVIEWS}")
    (route,) = hosts(world)["reviews.default.svc.cluster.local:80"].routes
    assert route.match.prefix == "/b"
    (found,) = findings(world)
    assert found.code == "PP0425"
    assert found.field.startswith("spec.http[0].match[0].")
