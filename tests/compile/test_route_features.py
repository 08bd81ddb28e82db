"""What rules do with requests: one table for each feature."""

import pytest

from pilotpy.engine import Put
from pilotpy.mesh.kinds import MESH_CONFIG
from pilotpy.model.mesh_config import MeshConfig
from pilotpy.model.mesh_proxy_config import AttemptCount, ProxyConfig, ProxyHeaders, XForwardedHost
from pilotpy.model.virtual_service import HTTPRetry
from tests.compile.routing import (
    RATINGS,
    SUBSETS,
    TO_REVIEWS,
    action,
    findings,
    hashed,
    hosts,
    only,
    plain,
    ruled_world,
    service,
    virtual_service,
)
from tests.mesh.world import World


def test_weights_are_kept_and_destinations_without_one_dropped():
    http = """
- route:
  - {destination: {host: reviews, subset: v1}, weight: 90}
  - {destination: {host: reviews, subset: v2}, weight: 5, headers: {request: {set: {Host: b.com, x: "1"}}}}
  - {destination: {host: ratings}, weight: 0}
"""
    route = only(http, SUBSETS)
    assert route["route"]["weighted_clusters"]["clusters"] == [
        {"name": "outbound|80|v1|reviews.default.svc.cluster.local", "weight": 90},
        {
            "name": "outbound|80|v2|reviews.default.svc.cluster.local",
            "weight": 5,
            "host_rewrite_literal": "b.com",
            "request_headers_to_add": [
                {"header": {"key": "x", "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            ],
        },
    ]
    assert route["decorator"] == {"operation": "routes:80/*"}


@pytest.mark.parametrize(
    ("wanted", "want"),
    [
        pytest.param("{uri: /new}", {"path_redirect": "/new"}, id="to a path"),
        pytest.param("{prefixRewrite: /new}", {"prefix_rewrite": "/new"}, id="to another prefix"),
        pytest.param(
            "{authority: b.com, scheme: https, redirectCode: 307}",
            {
                "host_redirect": "b.com",
                "path_redirect": "",
                "scheme_redirect": "https",
                "response_code": "TEMPORARY_REDIRECT",
            },
            id="to another host",
        ),
        pytest.param("{port: 8080}", {"path_redirect": "", "port_redirect": 8080}, id="to a port"),
        pytest.param("{port: 80}", {"path_redirect": ""}, id="to a port that need not be said"),
        pytest.param(
            "{derivePort: FROM_REQUEST_PORT, scheme: https}",
            {"path_redirect": "", "port_redirect": 80, "scheme_redirect": "https"},
            id="to the port that was asked",
        ),
    ],
)
def test_a_redirect_leads(wanted, want):
    assert only(f"- redirect: {wanted}")["redirect"] == want


@pytest.mark.parametrize(
    ("wanted", "want"),
    [
        ("{status: 204}", {"status": 204}),
        ("{status: 503, body: {string: sorry}}", {"status": 503, "body": {"inline_string": "sorry"}}),
        ("{status: 200, body: {bytes: AAE=}}", {"status": 200, "body": {"inline_bytes": "AAE="}}),
    ],
)
def test_a_response_is_given_without_asking_anybody(wanted, want):
    assert only(f"- directResponse: {wanted}")["direct_response"] == want


@pytest.mark.parametrize(
    ("field", "want"),
    [
        pytest.param("timeout: 5s", {"timeout": "5s", "max_grpc_timeout": "5s"}, id="a timeout"),
        pytest.param(
            "rewrite: {uri: /v2, authority: b.com}",
            {"prefix_rewrite": "/v2", "host_rewrite_literal": "b.com"},
            id="a path and an authority rewritten",
        ),
        pytest.param(
            'rewrite: {uriRegexRewrite: {match: "/a/(.*)", rewrite: /b/\\1}}',
            {"regex_rewrite": {"pattern": {"regex": "/a/(.*)"}, "substitution": "/b/\\1"}},
            id="a path rewritten by an expression",
        ),
        pytest.param("headers: {request: {add: {host: c.com}}}", {"host_rewrite_literal": "c.com"}, id="a host header"),
        pytest.param(
            "{rewrite: {authority: b.com}, headers: {request: {set: {host: c.com}}}}",
            {"host_rewrite_literal": "b.com"},
            id="an authority, which wins over the header",
        ),
        pytest.param(
            "mirror: {host: ratings}",
            {
                "request_mirror_policies": [
                    {
                        "cluster": RATINGS,
                        "runtime_fraction": {"default_value": {"numerator": 100}},
                        "trace_sampled": False,
                        "disable_shadow_host_suffix_append": True,
                    }
                ]
            },
            id="a mirror of everything",
        ),
        pytest.param(
            "{mirror: {host: ratings}, mirrorPercentage: {value: 0.5}}",
            {
                "request_mirror_policies": [
                    {
                        "cluster": RATINGS,
                        "runtime_fraction": {"default_value": {"numerator": 5000, "denominator": "MILLION"}},
                        "trace_sampled": False,
                        "disable_shadow_host_suffix_append": True,
                    }
                ]
            },
            id="a mirror of a share",
        ),
        pytest.param("{mirror: {host: ratings}, mirrorPercentage: {value: 0}}", {}, id="a mirror of nothing"),
        pytest.param("retries: {attempts: 0}", {"retry_policy": None}, id="no retries"),
    ],
)
def test_forwarded_requests_have(field, want):
    fields = field if field.startswith("{") else f"{{{field}}}"
    found = action(f"- {fields[:-1]}, {TO_REVIEWS}}}")
    usual = action(f"- {TO_REVIEWS}")
    assert {key: found.get(key) for key in found | want if found.get(key) != usual.get(key)} == want


@pytest.mark.parametrize(
    ("retries", "want"),
    [
        pytest.param("{attempts: 3, perTryTimeout: 2s}", {"num_retries": 3, "per_try_timeout": "2s"}, id="times"),
        pytest.param(
            '{attempts: 2, retryOn: "503, reset"}',
            {"retry_on": "reset,retriable-status-codes", "retriable_status_codes": [503]},
            id="status codes apart from conditions",
        ),
        pytest.param(
            '{attempts: 2, retryOn: "retriable-status-codes,500,999"}',
            {"retry_on": "retriable-status-codes,999", "retriable_status_codes": [500]},
            id="what is no status is a condition",
        ),
        pytest.param("{attempts: 2, backoff: 25ms}", {"retry_back_off": {"base_interval": "0.025s"}}, id="a pause"),
        pytest.param(
            "{attempts: 2, retryIgnorePreviousHosts: false}", {"retry_host_predicate": None}, id="any endpoint"
        ),
        pytest.param(
            "{attempts: 2, retryRemoteLocalities: true}",
            {
                "retry_priority": {
                    "name": "envoy.retry_priorities.previous_priorities",
                    "typed_config": {
                        "@type": "type.googleapis.com/"
                        "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                        "update_frequency": 2,
                    },
                }
            },
            id="other localities",
        ),
    ],
)
def test_retries_have(retries, want):
    usual = action(f"- {TO_REVIEWS}")["retry_policy"]
    found = action(f"- {{retries: {retries}, {TO_REVIEWS}}}")["retry_policy"]
    assert {key: found.get(key) for key in found | want if found.get(key) != usual.get(key)} == want


@pytest.mark.parametrize("rules", [(), (virtual_service(f"- {TO_REVIEWS}"),)], ids=["without rules", "with a rule"])
def test_the_mesh_may_retry_otherwise(rules):
    world = World(service("reviews", address="10.0.0.1"), *rules)
    world.engine.apply([Put(MESH_CONFIG, ("",), MeshConfig(default_http_retry_policy=HTTPRetry(attempts=7)))])
    (route,) = hosts(world)["reviews.default.svc.cluster.local:80"].routes
    assert route.route.retry_policy.num_retries.value == 7


@pytest.mark.parametrize(
    ("by", "want"),
    [
        pytest.param("{httpHeaderName: user}", {"header": {"header_name": "user"}}, id="a header"),
        pytest.param(
            "{httpCookie: {name: c, ttl: 5s, path: /, attributes: [{name: a, value: b}]}}",
            {"cookie": {"name": "c", "ttl": "5s", "path": "/", "attributes": [{"name": "a", "value": "b"}]}},
            id="a cookie",
        ),
        pytest.param("{useSourceIp: true}", {"connection_properties": {"source_ip": True}}, id="the client's address"),
        pytest.param("{httpQueryParameterName: q}", {"query_parameter": {"name": "q"}}, id="a query parameter"),
    ],
)
def test_requests_are_hashed_by(by, want):
    ruled_one = action(f"- {TO_REVIEWS}", hashed(by))
    assert ruled_one["hash_policy"] == [want]
    assert "retry_host_predicate" not in ruled_one["retry_policy"]
    world = World(service("reviews", address="10.0.0.1"), hashed(by))
    (default,) = hosts(world)["reviews.default.svc.cluster.local:80"].routes
    assert plain(default)["route"]["hash_policy"] == [want]


def test_headers_are_set_added_and_removed_in_order():
    http = """
- headers:
    request: {set: {b: "1", a: "2"}, add: {c: "%REQ(x)%"}, remove: [d, ":path"]}
    response: {add: {e: "5"}, remove: [f]}
  route: [{destination: {host: reviews}, headers: {request: {set: {g: "7"}}}}]
"""
    route = only(http)
    assert [(one["header"]["key"], one.get("append_action")) for one in route["request_headers_to_add"]] == [
        ("a", "OVERWRITE_IF_EXISTS_OR_ADD"),
        ("b", "OVERWRITE_IF_EXISTS_OR_ADD"),
        ("c", None),
        ("g", "OVERWRITE_IF_EXISTS_OR_ADD"),
    ]
    assert route["request_headers_to_remove"] == ["d"]
    assert route["response_headers_to_add"] == [{"header": {"key": "e", "value": "5"}}]
    assert route["response_headers_to_remove"] == ["f"]


@pytest.mark.parametrize(
    ("fault", "want"),
    [
        pytest.param(
            "{delay: {percentage: {value: 20}, fixedDelay: 500ms}, abort: {percentage: {value: 5}, httpStatus: 503}}",
            {
                "delay": {"fixed_delay": "0.500s", "percentage": {"numerator": 200_000, "denominator": "MILLION"}},
                "abort": {"http_status": 503, "percentage": {"numerator": 50_000, "denominator": "MILLION"}},
            },
            id="a delay and an abort",
        ),
        pytest.param(
            "{delay: {percent: 7, fixedDelay: 1s}}",
            {"delay": {"fixed_delay": "1s", "percentage": {"numerator": 7}}},
            id="a delay in whole percent",
        ),
        pytest.param(
            "{abort: {percentage: {value: 0.57}, grpcStatus: UNAVAILABLE}}",
            {"abort": {"grpc_status": 14, "percentage": {"numerator": 5700, "denominator": "MILLION"}}},
            id="an abort of a share that survives unrounded",
        ),
    ],
)
def test_faults_are_settings_of_their_filter(fault, want):
    found = only(f"- {{fault: {fault}, {TO_REVIEWS}}}")["typed_per_filter_config"]["envoy.filters.http.fault"]
    assert found.pop("@type").endswith("envoy.extensions.filters.http.fault.v3.HTTPFault")
    assert found == want


def test_cross_origin_rules_are_settings_of_their_filter():
    cors = """{allowOrigins: [{exact: https://a.com}, {regex: ".*b"}], allowMethods: [GET, PUT], allowHeaders: [x, w],
      exposeHeaders: [z], maxAge: 24h, allowCredentials: true, unmatchedPreflights: IGNORE}"""
    found = only(f"- {{corsPolicy: {cors}, {TO_REVIEWS}}}")["typed_per_filter_config"]["envoy.filters.http.cors"]
    assert found.pop("@type").endswith("envoy.extensions.filters.http.cors.v3.CorsPolicy")
    assert found == {
        "allow_origin_string_match": [{"exact": "https://a.com"}, {"safe_regex": {"regex": ".*b"}}],
        "allow_methods": "GET,PUT",
        "allow_headers": "x,w",
        "expose_headers": "z",
        "max_age": "86400",
        "allow_credentials": True,
        "filter_enabled": {"default_value": {"numerator": 100}},
        "forward_not_matching_preflights": False,
    }


@pytest.mark.parametrize(
    ("http", "field", "code"),
    [
        pytest.param(
            "- redirect: {uri: /, redirectCode: 304}", "redirect.redirectCode", "PP0422", id="a redirect with 304"
        ),
        pytest.param("- directResponse: {status: 99}", "directResponse.status", "PP0422", id="a status of 99"),
        pytest.param(
            f'- {{rewrite: {{uriRegexRewrite: {{match: "(a", rewrite: b}}}}, {TO_REVIEWS}}}',
            "rewrite.uriRegexRewrite.match",
            "PP0422",
            id="an expression that does not end",
        ),
        pytest.param(
            f'- {{rewrite: {{uriRegexRewrite: {{match: "(a)", rewrite: "\\\\2"}}}}, {TO_REVIEWS}}}',
            "rewrite.uriRegexRewrite.rewrite",
            "PP0422",
            id="a group that there is not",
        ),
        pytest.param(
            "- route: [{destination: {host: reviews}}, {destination: {host: ratings}}]",
            "route",
            "PP0422",
            id="weights that are all zero",
        ),
        pytest.param("- name: nothing", "route", "PP0422", id="a rule that does nothing"),
    ],
)
def test_what_envoy_would_refuse_is_answered_with_500_and_said(http, field, code):
    world = ruled_world(http)
    (route,) = hosts(world)["reviews.default.svc.cluster.local:80"].routes
    status = route.direct_response.status
    assert status == 500
    assert (code, f"spec.http[0].{field}") in {(found.code, found.field) for found in findings(world)}


def test_the_mesh_may_count_no_attempts_and_tell_the_host_before_a_rewrite():
    world = World(service("reviews", address="10.0.0.1"), virtual_service(f"- {{rewrite: {{uri: /a}}, {TO_REVIEWS}}}"))
    headers = ProxyHeaders(attempt_count=AttemptCount(disabled=True), x_forwarded_host=XForwardedHost(enabled=True))
    config = MeshConfig(default_config=ProxyConfig(proxy_headers=headers))
    world.engine.apply([Put(MESH_CONFIG, ("",), config)])
    found = hosts(world)
    assert not any(host.include_request_attempt_count for host in found.values())
    assert all(route.route.append_x_forwarded_host for host in found.values() for route in host.routes)
