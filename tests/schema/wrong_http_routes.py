"""What an API server would refuse of HTTPRoutes."""

from tests.schema.gateway_api_objects import FILTER, RULE, backend, filtered, rule

WRONG = [
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
]
