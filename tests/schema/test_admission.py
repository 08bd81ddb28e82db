"""Admission: an object that Istio would refuse is not used, one that it warns about is."""

import sys

import pytest
import yaml

from pilotpy.model.resource import Severity
from pilotpy.schema import codes
from pilotpy.schema.admission import admitted


def virtual_service(spec):
    head = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "v", "namespace": "n"},
    }
    return head | {"spec": yaml.safe_load(spec)}


RULE = "route: [{destination: {host: a}}]"

REFUSED = [
    ("no rule at all", "{hosts: [a]}", "spec"),
    ("a host that is none", f"{{hosts: [a_b], http: [{{{RULE}}}]}}", "spec.hosts[0]"),
    ("hosts that overlap", f"{{hosts: ['*.a.com', b.a.com], http: [{{{RULE}}}]}}", "spec.hosts[1]"),
    ("a rule without an action", "{hosts: [a], http: [{}]}", "spec.http[0]"),
    (
        "weights that are all 0",
        "{hosts: [a], http: [{route: [{destination: {host: a}}, {destination: {host: b}}]}]}",
        "spec.http[0].route",
    ),
    (
        "a negative weight",
        "{hosts: [a], http: [{route: [{destination: {host: a}, weight: -1}]}]}",
        "spec.http[0].route[0].weight",
    ),
    ("a timeout of nothing", f"{{hosts: [a], http: [{{timeout: 0s, {RULE}}}]}}", "spec.http[0].timeout"),
    (
        "an expression Envoy would refuse",
        f"{{hosts: [a], http: [{{match: [{{uri: {{regex: '(?=x)'}}}}], {RULE}}}]}}",
        "spec.http[0].match[0].uri.regex",
    ),
    (
        "a status no answer has",
        f"{{hosts: [a], http: [{{fault: {{abort: {{httpStatus: 99}}}}, {RULE}}}]}}",
        "spec.http[0].fault.abort.httpStatus",
    ),
    (
        "a variable that does not end",
        f"{{hosts: [a], http: [{{headers: {{request: {{set: {{x: 50%}}}}}}, {RULE}}}]}}",
        "spec.http[0].headers.request.set.x",
    ),
    (
        "a retry for no reason that Envoy knows",
        f"{{hosts: [a], http: [{{retries: {{attempts: 1, retryOn: sometimes}}, {RULE}}}]}}",
        "spec.http[0].retries.retryOn",
    ),
]


@pytest.mark.parametrize(("spec", "field"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_istio_would_refuse_is_not_used(spec, field):
    resource, findings = admitted(virtual_service(spec))
    assert resource is None
    assert [(one.code, one.severity, one.field) for one in findings] == [(codes.INVALID, Severity.ERROR, field)]


TWICE = f"{{hosts: [a], http: [{{match: [%s], {RULE}}}, {{match: [%s], {RULE}}}]}}"

WARNED = [
    ("a rule after one that takes all", f"{{hosts: [a], http: [{{{RULE}}}, {{{RULE}}}]}}", "IST0130", "spec.http[1]"),
    (
        "a match that was there before",
        TWICE % ("{uri: {exact: /}}", "{uri: {exact: /}}, {port: 1}"),
        "IST0131",
        "spec.http[1].match[0]",
    ),
    (
        "a prefix that a shorter one covers",
        TWICE % ("{uri: {prefix: /a}}", "{uri: {prefix: /ab}}"),
        "IST0131",
        "spec.http[1].match[0]",
    ),
]


@pytest.mark.parametrize(("spec", "code", "field"), [case[1:] for case in WARNED], ids=[case[0] for case in WARNED])
def test_what_istio_would_warn_about_is_used(spec, code, field):
    resource, findings = admitted(virtual_service(spec))
    assert resource is not None
    assert [(one.code, one.field) for one in findings] == [(code, field)]


def test_an_analysis_may_look_at_what_is_refused():
    raw = virtual_service("{hosts: [a]}")
    assert admitted(raw, strict=False).resource is not None
    assert admitted(raw, strict=False).findings == admitted(raw).findings


SERVICES = [
    ("a protocol that is none of the transport", "[{port: 80, protocol: HTTP}]", "spec.ports[0].protocol"),
    ("several ports of which one has no name", "[{port: 80, name: a}, {port: 81}]", "spec.ports[1].name"),
    ("two ports of one number", "[{port: 80, name: a}, {port: 80, name: b}]", "spec.ports[1].port"),
    ("two ports of one name", "[{port: 80, name: a}, {port: 81, name: a}]", "spec.ports[1].name"),
    ("a port beyond the last", "[{port: 65536}]", "spec.ports[0].port"),
]


@pytest.mark.parametrize(("ports", "field"), [case[1:] for case in SERVICES], ids=[case[0] for case in SERVICES])
def test_what_an_api_server_would_refuse_of_a_service(ports, field):
    raw = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": yaml.safe_load(ports)}}
    resource, findings = admitted(raw)
    assert resource is None
    assert [(one.code, one.field) for one in findings] == [(codes.INVALID, field)]


def test_a_slice_whose_family_was_forgotten_counts_with_a_warning():
    raw = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "s"}}
    resource, findings = admitted(raw | {"endpoints": [{"addresses": ["10.0.0.1"]}]})
    assert resource is not None
    assert [(one.severity, one.field) for one in findings] == [(Severity.WARNING, "addressType")]


def test_a_header_value_of_many_percent_signs_is_judged_at_once():
    value = "%%" * 5000 + "%"
    spec = f"{{hosts: [a], http: [{{headers: {{request: {{set: {{x: '{value}'}}}}}}, {RULE}}}]}}"
    assert admitted(virtual_service(spec)).resource is None


def test_the_cost_of_many_hosts_and_matches_is_bounded():
    hosts = [f"h{i}.a.com" for i in range(3000)]
    rules = [{"match": [{"uri": {"prefix": f"/{i}/"}}], "route": [{"destination": {"host": "a"}}]} for i in range(3000)]
    raw = virtual_service("{}") | {"spec": {"hosts": hosts, "http": rules}}
    counted = sys.getprofile()
    calls = 0

    def count(*_):
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        assert admitted(raw).findings == []
    finally:
        sys.setprofile(counted)
    assert calls < 3_000_000
