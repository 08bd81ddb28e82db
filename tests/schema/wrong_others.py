"""What an API server would refuse of the other kinds of the Gateway API, and of Ingresses."""

from tests.schema.gateway_api_objects import FILTER, RULE, backend, filtered, policy, rule

WRONG = [
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
