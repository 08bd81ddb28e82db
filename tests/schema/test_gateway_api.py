"""The Gateway API's kinds and Ingress: what is right is read whole, what is wrong is said where it stands."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from pilotpy.model.resource import Ref, Severity
from pilotpy.schema import codes
from pilotpy.schema.admission import admitted
from pilotpy.schema.documents import documents

CASES = Path(__file__).parents[2] / ".." / "shared" / "conformance" / "gateway-api-conformance"

PLACES = {
    "{GATEWAY_CLASS_NAME}": "istio",
    "{GATEWAY_CONTROLLER_NAME}": "istio.io/gateway-controller",
    "PLACEHOLDER_USABLE_ADDRS": "198.51.100.1",
    "PLACEHOLDER_UNUSABLE_ADDRS": "198.51.100.2",
}
"""What stands in the manifests for what an implementation says."""

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


def manifests():
    found = sorted((CASES / "manifests").rglob("*.yaml"))
    return [pytest.param(path, id=path.relative_to(CASES / "manifests").as_posix()) for path in found] or [
        pytest.param(None, marks=pytest.mark.skip(reason="no cases beside this repository"))
    ]


@pytest.mark.parametrize("path", manifests())
def test_what_an_api_server_takes_is_read_without_a_word_but_that_it_is_not_served(path):
    text = path.read_text()
    for name, value in PLACES.items():
        text = text.replace(name, value)
    found = documents(text, path.name)
    findings = list(found.findings)
    for document in found.objects:
        resource, said = admitted(document.raw)
        assert resource is not None, said
        findings += [one for one in said if one.code != codes.NOT_COMPILED]
    assert findings == []


def test_each_object_is_said_once_to_have_no_effect_yet():
    cases = json.loads((CASES / "tests.json").read_text())["tests"] if CASES.exists() else []
    if not cases:
        pytest.skip("no cases beside this repository")
    text = (CASES / "manifests" / "base" / "manifests.yaml").read_text().replace("{GATEWAY_CLASS_NAME}", "istio")
    for document in documents(text, "base.yaml").objects:
        ours = document.raw["apiVersion"].startswith("gateway.networking.k8s.io/")
        said = [one.code for one in admitted(document.raw).findings]
        assert said == [codes.NOT_COMPILED] * ours


def test_a_gateway_is_told_from_istios():
    gateway = right("Gateway", "{gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}")
    assert gateway.ref == Ref("KubernetesGateway", "default", "x")
    (listener,) = gateway.spec.listeners
    assert (listener.hostname, listener.allowed_routes.namespaces.from_) == ("", "Same")
    istios = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "x"}, "spec": {}}
    assert admitted(istios, strict=False).resource.ref == Ref("Gateway", "default", "x")


def test_a_route_without_words_takes_everything():
    (rule,) = right("HTTPRoute", "{parentRefs: [{name: edge}]}").spec.rules
    (match,) = rule.matches
    assert (match.path.type, match.path.value, match.headers) == ("PathPrefix", "/", ())


def test_durations_are_durations():
    rule = "{timeouts: {request: 1m30s, backendRequest: 500ms}, retry: {attempts: 2, backoff: 0s}}"
    (rule,) = right("HTTPRoute", f"{{rules: [{rule}]}}").spec.rules
    assert rule.timeouts.request == timedelta(seconds=90)
    assert rule.timeouts.backend_request == timedelta(milliseconds=500)
    assert rule.retry.backoff == timedelta(0)


def test_classes_have_no_namespace():
    assert right("GatewayClass", "{controllerName: istio.io/gateway-controller}").ref.namespace == ""
    assert right("IngressClass", "{controller: istio.io/ingress-controller}").ref.namespace == ""


@pytest.mark.parametrize(
    ("version", "spec"),
    [
        ("v1alpha2", "{rules: [{backendRefs: [{name: a, port: 443}]}, {backendRefs: [{name: b, port: 443}]}]}"),
        ("v1alpha3", "{hostnames: [a.com], rules: [{backendRefs: [{name: a, port: 443}]}]}"),
        ("v1", "{hostnames: [a.com], rules: [{backendRefs: [{name: a, port: 443}]}]}"),
    ],
)
def test_older_versions_are_read_as_they_were(version, spec):
    assert right("TLSRoute", spec, f"gateway.networking.k8s.io/{version}").spec.rules[0].backend_refs[0].name == "a"


def test_what_gateways_said_of_certificates_before_is_read():
    listener = "{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}], frontendValidation: %s}}"
    roots = "{caCertificateRefs: [{group: '', kind: ConfigMap, name: roots}]}"
    backends = "backendTLS: {clientCertificateRef: {name: c}}"
    spec = right("Gateway", f"{{gatewayClassName: istio, listeners: [{listener % roots}], {backends}}}").spec
    assert spec.listeners[0].tls.frontend_validation.ca_certificate_refs[0].name == "roots"
    assert spec.backend_tls.client_certificate_ref.kind == "Secret"


def test_an_address_of_a_type_of_ones_own_may_be_there_twice():
    spec = gateway("addresses: [{type: a.com/pool, value: b}, {type: a.com/pool, value: b}]")
    assert len(right("Gateway", spec).spec.addresses) == 2


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

WRONG = [
    ("a Gateway needs a class", "Gateway", f"{{listeners: [{HTTP}]}}", ["spec.gatewayClassName"]),
    ("a Gateway needs listeners", "Gateway", "{gatewayClassName: istio, listeners: []}", ["spec.listeners"]),
    (
        "names of listeners are told apart",
        "Gateway",
        listeners(HTTP, "{name: http, port: 81, protocol: HTTP}"),
        ["spec.listeners[1].name"],
    ),
    (
        "listeners are told apart by port, protocol and hostname",
        "Gateway",
        listeners(HTTP, "{name: other, port: 80, protocol: HTTP}"),
        ["spec.listeners[1]"],
    ),
    ("a port is one", "Gateway", listeners("{name: a, port: 65536, protocol: HTTP}"), ["spec.listeners[0].port"]),
    (
        "a hostname has small letters",
        "Gateway",
        listeners("{name: a, port: 80, protocol: HTTP, hostname: Shop.com}"),
        ["spec.listeners[0].hostname"],
    ),
    (
        "HTTP has no TLS",
        "Gateway",
        listeners("{name: a, port: 80, protocol: HTTP, tls: {certificateRefs: [{name: c}]}}"),
        ["spec.listeners[0].tls"],
    ),
    (
        "HTTPS is not passed through",
        "Gateway",
        listeners("{name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough}}"),
        ["spec.listeners[0].tls.mode"],
    ),
    (
        "TLS needs tls",
        "Gateway",
        listeners("{name: a, port: 443, protocol: TLS}"),
        ["spec.listeners[0].tls"],
    ),
    (
        "to terminate TLS needs a certificate",
        "Gateway",
        listeners("{name: a, port: 443, protocol: HTTPS, tls: {}}"),
        ["spec.listeners[0].tls.certificateRefs"],
    ),
    (
        "TCP has no hostname",
        "Gateway",
        listeners("{name: a, port: 80, protocol: TCP, hostname: a.com}"),
        ["spec.listeners[0].hostname"],
    ),
    (
        "a protocol of one's own has a domain",
        "Gateway",
        listeners("{name: a, port: 80, protocol: 'my protocol'}"),
        ["spec.listeners[0].protocol"],
    ),
    (
        "an address is one, and there once",
        "Gateway",
        gateway("addresses: [{value: a.com}, {value: 10.0.0.1}, {value: 10.0.0.1}, {type: Hostname, value: A.com}]"),
        ["spec.addresses[0].value", "spec.addresses[2].value", "spec.addresses[3].value"],
    ),
    (
        "an expression about labels has a key and an operator",
        "Gateway",
        gateway("allowedListeners: {namespaces: {from: Selector, selector: {matchExpressions: [{values: [a]}]}}}"),
        [
            "spec.allowedListeners.namespaces.selector.matchExpressions[0].key",
            "spec.allowedListeners.namespaces.selector.matchExpressions[0].operator",
        ],
    ),
    (
        "labels for what is made are labels",
        "Gateway",
        gateway("infrastructure: {labels: {a/b/c: d}, annotations: {-: e}}"),
        ['spec.infrastructure.labels["a/b/c"]', 'spec.infrastructure.annotations["-"]'],
    ),
    (
        "TLS of frontends is said once for a port",
        "Gateway",
        gateway("tls: {frontend: {default: {}, perPort: [{port: 443, tls: {}}, {port: 443, tls: {}}]}}"),
        ["spec.tls.frontend.perPort[1].port"],
    ),
    ("a ListenerSet needs a parent", "ListenerSet", f"{{listeners: [{HTTP}]}}", ["spec.parentRef"]),
    ("a class names a controller", "GatewayClass", "{controllerName: istio}", ["spec.controllerName"]),
    (
        "parents are told apart",
        "HTTPRoute",
        "{parentRefs: [{name: a, port: 80}, {name: a, port: 80}, {name: a, sectionName: b}]}",
        ["spec.parentRefs[1]", "spec.parentRefs[2]"],
    ),
    ("a hostname is no pattern", "HTTPRoute", "{hostnames: ['a.*.com']}", ["spec.hostnames[0]"]),
    ("there is a rule", "HTTPRoute", "{rules: []}", ["spec.rules"]),
    ("rules are told apart", "HTTPRoute", rule("{name: a}, {name: a}"), ["spec.rules[1].name"]),
    ("a Service has ports", "HTTPRoute", backend("{name: a}"), [f"{RULE}.backendRefs[0].port"]),
    (
        "a weight is not negative",
        "HTTPRoute",
        backend("{name: a, port: 80, weight: -1}"),
        [f"{RULE}.backendRefs[0].weight"],
    ),
    (
        "a path begins with a slash",
        "HTTPRoute",
        rule("{matches: [{path: {value: a}}]}"),
        [f"{RULE}.matches[0].path.value"],
    ),
    (
        "a path has no empty segment",
        "HTTPRoute",
        rule("{matches: [{path: {value: /a//b}}]}"),
        [f"{RULE}.matches[0].path.value"],
    ),
    (
        "a path does not end in dots",
        "HTTPRoute",
        rule("{matches: [{path: {type: Exact, value: /a/..}}]}"),
        [f"{RULE}.matches[0].path.value"],
    ),
    (
        "a path has a path's characters",
        "HTTPRoute",
        rule("{matches: [{path: {value: '/a b'}}]}"),
        [f"{RULE}.matches[0].path.value"],
    ),
    (
        "an expression is RE2's",
        "HTTPRoute",
        rule("{matches: [{path: {type: RegularExpression, value: '/(?=a)'}}]}"),
        [f"{RULE}.matches[0].path.value"],
    ),
    (
        "a kind of match is one of three",
        "HTTPRoute",
        rule("{matches: [{path: {type: Prefix, value: /}}]}"),
        [f"{RULE}.matches[0].path.type"],
    ),
    (
        "a header is matched once",
        "HTTPRoute",
        rule("{matches: [{headers: [{name: a, value: b}, {name: a, value: c}]}]}"),
        [f"{RULE}.matches[0].headers[1].name"],
    ),
    (
        "a header's name is one",
        "HTTPRoute",
        rule("{matches: [{headers: [{name: 'a b', value: c}]}]}"),
        [f"{RULE}.matches[0].headers[0].name"],
    ),
    (
        "a parameter is matched once",
        "HTTPRoute",
        rule("{matches: [{queryParams: [{name: a, value: b}, {name: a, value: c}]}]}"),
        [f"{RULE}.matches[0].queryParams[1].name"],
    ),
    (
        "matches of all rules are counted",
        "HTTPRoute",
        rule(", ".join(["{matches: [" + ", ".join(["{method: GET}"] * 64) + "]}"] * 3)),
        ["spec.rules"],
    ),
    (
        "a filter has the field of its type",
        "HTTPRoute",
        filtered("{type: RequestHeaderModifier, cors: {}}"),
        [f"{FILTER}.requestHeaderModifier", f"{FILTER}.cors"],
    ),
    (
        "a filter of a kind is there once",
        "HTTPRoute",
        filtered(", ".join(["{type: URLRewrite, urlRewrite: {hostname: a.com}}"] * 2)),
        [f"{RULE}.filters"],
    ),
    (
        "what redirects rewrites nothing",
        "HTTPRoute",
        filtered("{type: URLRewrite, urlRewrite: {}}, {type: RequestRedirect, requestRedirect: {}}"),
        [f"{RULE}.filters"],
    ),
    (
        "what redirects has no backends",
        "HTTPRoute",
        rule("{filters: [{type: RequestRedirect, requestRedirect: {}}], backendRefs: [{name: a, port: 80}]}"),
        [f"{RULE}.backendRefs"],
    ),
    (
        "a redirect has a redirect's status",
        "HTTPRoute",
        filtered("{type: RequestRedirect, requestRedirect: {statusCode: 200}}"),
        [f"{FILTER}.requestRedirect.statusCode"],
    ),
    (
        "a path modifier has the field of its type",
        "HTTPRoute",
        filtered("{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replacePrefixMatch: /}}}"),
        [f"{FILTER}.urlRewrite.path.replaceFullPath", f"{FILTER}.urlRewrite.path.replacePrefixMatch"],
    ),
    (
        "a prefix is replaced where a prefix matched",
        "HTTPRoute",
        rule(
            "{matches: [{path: {type: Exact, value: /a}}], filters: [{type: URLRewrite,"
            " urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]}"
        ),
        [f"{RULE}.filters"],
    ),
    (
        "a mirror has one share, of a whole",
        "HTTPRoute",
        filtered(
            "{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 80},"
            " fraction: {numerator: 3, denominator: 2}}}"
        ),
        [f"{FILTER}.requestMirror.fraction"],
    ),
    (
        "a mirror has a port, and not two shares",
        "HTTPRoute",
        filtered("{type: RequestMirror, requestMirror: {backendRef: {name: a}, percent: 5, fraction: {numerator: 1}}}"),
        [f"{FILTER}.requestMirror"],
    ),
    (
        "all origins stand alone",
        "HTTPRoute",
        filtered("{type: CORS, cors: {allowOrigins: ['*', 'https://a.com'], allowMethods: [GET, GET]}}"),
        [f"{FILTER}.cors.allowOrigins", f"{FILTER}.cors.allowMethods[1]"],
    ),
    (
        "an origin has a scheme",
        "HTTPRoute",
        filtered("{type: CORS, cors: {allowOrigins: [a.com]}}"),
        [f"{FILTER}.cors.allowOrigins[0]"],
    ),
    (
        "an authorizer is asked in its protocol",
        "HTTPRoute",
        filtered("{type: ExternalAuth, externalAuth: {protocol: GRPC, backendRef: {name: a, port: 80}, http: {}}}"),
        [f"{FILTER}.externalAuth.http", f"{FILTER}.externalAuth.grpc"],
    ),
    (
        "a header is set once",
        "HTTPRoute",
        filtered(
            "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}, {name: a, value: c}]}}"
        ),
        [f"{FILTER}.requestHeaderModifier.set[1].name"],
    ),
    (
        "a header's value has no line end",
        "HTTPRoute",
        filtered('{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: a, value: "b\\n"}]}}'),
        [f"{FILTER}.requestHeaderModifier.add[0].value"],
    ),
    (
        "a try is not longer than the request",
        "HTTPRoute",
        rule("{timeouts: {request: 1s, backendRequest: 2s}}"),
        [f"{RULE}.timeouts.backendRequest"],
    ),
    (
        "a duration has whole numbers",
        "HTTPRoute",
        rule("{timeouts: {request: 1.5s}}"),
        [f"{RULE}.timeouts.request"],
    ),
    (
        "a session by header has no cookie",
        "HTTPRoute",
        rule("{sessionPersistence: {type: Header, cookieConfig: {lifetimeType: Permanent}}}"),
        [f"{RULE}.sessionPersistence.cookieConfig", f"{RULE}.sessionPersistence.absoluteTimeout"],
    ),
    ("errors are retried", "HTTPRoute", rule("{retry: {codes: [200]}}"), [f"{RULE}.retry.codes[0]"]),
    (
        "a call is of a service or a method",
        "GRPCRoute",
        rule("{matches: [{method: {type: Exact}}]}"),
        [f"{RULE}.matches[0].method"],
    ),
    (
        "a service of gRPC has a name",
        "GRPCRoute",
        rule("{matches: [{method: {service: shop/Reviews, method: a-b}}]}"),
        [f"{RULE}.matches[0].method.service", f"{RULE}.matches[0].method.method"],
    ),
    (
        "a filter of calls does not redirect",
        "GRPCRoute",
        filtered("{type: RequestRedirect}"),
        [f"{FILTER}.type"],
    ),
    (
        "SNI has no addresses",
        "TLSRoute",
        "{hostnames: [10.0.0.1], rules: [{backendRefs: [{name: a, port: 443}]}]}",
        ["spec.hostnames[0]"],
    ),
    ("connections need a backend", "TCPRoute", "{rules: [{backendRefs: []}]}", [f"{RULE}.backendRefs"]),
    ("datagrams need a port", "UDPRoute", backend("{name: a}"), [f"{RULE}.backendRefs[0].port"]),
    (
        "a grant is of and for somebody",
        "ReferenceGrant",
        "{from: [{group: '', kind: Service}], to: []}",
        ["spec.from[0].namespace", "spec.to"],
    ),
    ("there are roots", "BackendTLSPolicy", policy("{hostname: a.com}"), ["spec.validation"]),
    (
        "roots are from one place",
        "BackendTLSPolicy",
        policy(
            "{hostname: a.com, wellKnownCACertificates: System,"
            " caCertificateRefs: [{group: '', kind: ConfigMap, name: c}]}"
        ),
        ["spec.validation"],
    ),
    (
        "a name is of its type",
        "BackendTLSPolicy",
        policy("{hostname: a.com, wellKnownCACertificates: System, subjectAltNames: [{type: URI, hostname: a.com}]}"),
        ["spec.validation.subjectAltNames[0].hostname", "spec.validation.subjectAltNames[0].uri"],
    ),
    (
        "targets are told apart",
        "BackendTLSPolicy",
        policy(
            "{hostname: a.com, wellKnownCACertificates: System}",
            "[{group: '', kind: Service, name: a}, {group: '', kind: Service, name: a, sectionName: http}]",
        ),
        ["spec.targetRefs[1]"],
    ),
    (
        "a pool has Pods and ports, and a picker that is found",
        "InferencePool",
        "{selector: {matchLabels: {a/b/c: d}}, targetPorts: [{number: 1}, {number: 1}], endpointPickerRef: {name: a}}",
        ['spec.selector.matchLabels["a/b/c"]', "spec.targetPorts[1].number", "spec.endpointPickerRef.port"],
    ),
    ("an Ingress does something", "Ingress", "{}", ["spec"]),
    (
        "a backend of an Ingress has a port",
        "Ingress",
        "{defaultBackend: {service: {name: a}}}",
        ["spec.defaultBackend.service.port"],
    ),
    (
        "an Ingress is for names",
        "Ingress",
        "{rules: [{host: 10.0.0.1}, {host: 'a.*.com'}], tls: [{hosts: [B.com]}]}",
        ["spec.rules[0].host", "spec.rules[1].host", "spec.tls[0].hosts[0]"],
    ),
    (
        "a path of an Ingress begins with a slash and leads somewhere",
        "Ingress",
        "{rules: [{http: {paths: [{path: a, pathType: Prefix, backend: {}}]}}]}",
        ["spec.rules[0].http.paths[0].backend", "spec.rules[0].http.paths[0].path"],
    ),
    (
        "a path of an Ingress has a type",
        "Ingress",
        "{rules: [{http: {paths: [{path: /, backend: {service: {name: a, port: {number: 80}}}}]}}]}",
        ["spec.rules[0].http.paths[0].pathType"],
    ),
    ("a class of Ingresses names a controller", "IngressClass", "{controller: istio}", ["spec.controller"]),
]


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
