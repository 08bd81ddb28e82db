"""What an API server would refuse of Gateways, their classes and sets of their listeners."""

from tests.schema.gateway_api_objects import HTTP, gateway, listeners

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
]
