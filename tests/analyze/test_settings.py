"""What is doubtful about webhooks, networks, EnvoyFilters, Telemetries and policies."""

import pytest

from pilotpy.analyze.kinds import KIND_OF
from pilotpy.analyze.networks import registry_doubts
from pilotpy.model.resource import Meta, Ref, Resource
from pilotpy.schema.mesh_config import mesh_networks
from tests.analyze.analysis import engine_with, said, written


def webhook(name, hook, client, selector="", kind="Mutating"):
    chosen = f", namespaceSelector: {{matchLabels: {{{selector}}}}}" if selector else ""
    return f"""
kind: {kind}WebhookConfiguration
metadata: {{name: {name}}}
webhooks: [{{name: {hook}, clientConfig: {{{client}}}{chosen}}}]
---
"""


URL = 'url: "https://istiod.example.com/inject"'
OLD, NEW = "istio-injection: enabled", "istio.io/rev: canary"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(webhook("istio-sidecar-injector", "a.istio.io", URL, OLD), [], id="one that leads to a host"),
        pytest.param(
            webhook("istio-sidecar-injector", "a.istio.io", 'url: "https://1.1.1.1:5100/inject"', OLD),
            [("IST0164", "istio-sidecar-injector", "webhooks[0].clientConfig.url")],
            id="one that leads to an address",
        ),
        pytest.param(
            webhook("istiod-default-validator", "v.istio.io", "", kind="Validating"),
            [("IST0163", "istiod-default-validator", "webhooks[0].clientConfig")],
            id="one that leads nowhere",
        ),
        pytest.param(
            webhook("others", "a.example.com", 'url: "https://1.1.1.1/"', OLD), [], id="one of somebody else's"
        ),
        pytest.param(
            webhook("istio-sidecar-injector", "a.istio.io", "service: {name: istiod, namespace: istio-system}", OLD),
            [("IST0139", "istio-sidecar-injector", "webhooks[0].clientConfig.service")],
            id="a Service that is not there",
        ),
        pytest.param(
            webhook("a", "a.istio.io", URL, OLD) + webhook("b", "b.istio.io", URL, OLD),
            [("IST0139", "a", "webhooks[0]"), ("IST0139", "b", "webhooks[0]")],
            id="two that take the same Pods",
        ),
        pytest.param(
            webhook("a", "a.istio.io", URL, f"{OLD}, istio.io/rev: old")
            + webhook("b", "b.istio.io", URL, f"{OLD}, {NEW}"),
            [],
            id="two that take different Pods",
        ),
    ],
)
def test_webhooks(text, expected):
    assert said(text) == expected


SECRET = """
kind: Secret
metadata: {name: remote, namespace: istio-system, labels: {istio/multiCluster: "true"}}
stringData: {east: kubeconfig}
"""


@pytest.mark.parametrize(
    ("registry", "doubtful"),
    [
        pytest.param("Kubernetes", False, id="the cluster itself"),
        pytest.param("east", False, id="a remote cluster"),
        pytest.param("west", True, id="a cluster that nobody knows"),
    ],
)
def test_networks(registry, doubtful):
    network = f"{{endpoints: [{{fromRegistry: {registry}}}], gateways: [{{address: 1.1.1.1, port: 443}}]}}"
    text = f"networks: {{north: {network}}}"
    ref = Ref("MeshNetworks", "istio-system", "meshnetworks")
    networks = Resource(ref, Meta(name=ref.name), mesh_networks(text, "in.yaml").networks)
    engine = engine_with(networks, *written(SECRET))
    found = [(one.code, one.field) for one in engine.ask(registry_doubts, ref)]
    assert found == ([("IST0126", "networks.north.endpoints[0].fromRegistry")] if doubtful else [])


def envoy_filter(name, applied, operation, version="", priority=0):
    match = f"match: {{proxy: {{proxyVersion: '{version}'}}}}, " if version else ""
    return f"""
kind: EnvoyFilter
metadata: {{name: {name}, namespace: shop}}
spec:
  priority: {priority}
  configPatches: [{{applyTo: {applied}, {match}patch: {{operation: {operation}, value: {{name: x}}}}}}]
---
"""


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        pytest.param(envoy_filter("a", "HTTP_FILTER", "INSERT_FIRST"), [], id="an absolute operation"),
        pytest.param(envoy_filter("a", "HTTP_FILTER", "INSERT_BEFORE"), ["IST0151"], id="a relative one"),
        pytest.param(envoy_filter("a", "HTTP_FILTER", "INSERT_BEFORE", priority=1), [], id="a relative one, in order"),
        pytest.param(envoy_filter("a", "CLUSTER", "REPLACE"), ["IST0152"], id="clusters are not replaced"),
        pytest.param(envoy_filter("a", "HTTP_ROUTE", "ADD"), ["IST0153"], id="routes are not added"),
        pytest.param(envoy_filter("a", "HTTP_ROUTE", "REMOVE"), ["IST0154"], id="routes are not removed"),
        pytest.param(
            envoy_filter("a", "HTTP_FILTER", "REMOVE", "1.29") + envoy_filter("b", "HTTP_FILTER", "REMOVE", "1.30"),
            ["IST0151", "IST0155"],
            id="two for two versions",
        ),
    ],
)
def test_envoy_filters(text, codes):
    assert [code for code, _, _ in said(text)] == codes


POD = "kind: Pod\nmetadata: {name: p, namespace: shop, labels: {app: web, GATEWAY: g}}\n---\n".replace(
    "GATEWAY", "gateway.networking.k8s.io/gateway-name"
)


def telemetry(name, spec):
    return f"kind: Telemetry\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}}}\n---\n"


CHOSEN = "targetRefs: [], selector: {matchLabels: {app: web}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(telemetry("a", ""), [], id="one for all"),
        pytest.param(
            telemetry("a", "") + telemetry("b", ""),
            [("IST0160", "a", "metadata.name"), ("IST0160", "b", "metadata.name")],
            id="two for all",
        ),
        pytest.param(
            telemetry("a", "selector: {matchLabels: {app: none}}"),
            [("IST0101", "a", "spec.selector.matchLabels")],
            id="one for nobody",
        ),
        pytest.param(
            telemetry("a", CHOSEN) + telemetry("b", CHOSEN),
            [("IST0159", "a", "spec.selector.matchLabels"), ("IST0159", "b", "spec.selector.matchLabels")],
            id="two for one Pod",
        ),
        pytest.param(
            telemetry("a", "accessLogging: [{disabled: false}]"),
            [("IST0157", "a", "spec.accessLogging[0]")],
            id="logs for no provider",
        ),
    ],
)
def test_telemetries(text, expected):
    assert said(POD + text, "IST0101", "IST0157", "IST0159", "IST0160") == expected


@pytest.mark.parametrize("kind", ["AuthorizationPolicy", "RequestAuthentication", "Telemetry"])
def test_a_selector_does_nothing_for_gateways_of_the_gateway_api(kind):
    assert kind in KIND_OF
    text = POD + telemetry("a", CHOSEN).replace("Telemetry", kind).replace("targetRefs: [], ", "")
    assert said(text, "IST0166") == [("IST0166", "a", "spec.selector")]


def definition(kind, group, version=""):
    annotations = f"gateway.networking.k8s.io/bundle-version: {version}" if version else ""
    return f"""
kind: CustomResourceDefinition
metadata: {{name: {kind.lower()}s.{group}, annotations: {{{annotations}}}}}
spec: {{group: {group}, names: {{kind: {kind}}}, scope: Namespaced, versions: []}}
"""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param(definition("ServiceRole", "rbac.istio.io"), "IST0002", id="a kind that is no more"),
        pytest.param(definition("ServiceRole", "example.com"), "", id="somebody else's of that name"),
        pytest.param(definition("TCPRoute", "gateway.networking.k8s.io", "v1.5.1"), "IST0176", id="too old"),
        pytest.param(definition("TCPRoute", "gateway.networking.k8s.io", "v1.6.0-rc.1"), "", id="new enough"),
        pytest.param(definition("TCPRoute", "gateway.networking.k8s.io"), "", id="of unknown age"),
    ],
)
def test_definitions(text, code):
    assert [found for found, _, _ in said(text)] == ([code] if code else [])


def test_old_fields():
    old = """
kind: VirtualService
metadata: {name: v, namespace: shop}
spec: {hosts: [a], http: [{fault: {delay: {percent: 50, fixedDelay: 1s}}, route: [{destination: {host: a}}]}]}
---
kind: Sidecar
metadata: {name: s, namespace: shop}
spec: {outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: a}}}
"""
    assert said(old, "IST0002") == [
        ("IST0002", "s", "spec.outboundTrafficPolicy.egressProxy"),
        ("IST0002", "v", "spec.http[0].fault.delay.percent"),
    ]
