"""What is doubtful about namespaces, Pods, Deployments and their annotations."""

import pytest

from tests.analyze.analysis import said


def namespace(labels):
    return f"kind: Namespace\nmetadata: {{name: shop, labels: {{{labels}}}}}\n---\n"


def pod(labels="", annotations="", containers="{name: app, image: i}", more=""):
    return f"""
kind: Pod
metadata: {{name: p, namespace: shop, labels: {{{labels}}}, annotations: {{{annotations}}}}}
spec: {{containers: [{containers}]{more}}}
---
"""


def deployment(labels="app: web", containers="{name: app, image: i}", annotations="", own=""):
    return f"""
kind: Deployment
metadata: {{name: d, namespace: shop, labels: {{{own}}}}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template: {{metadata: {{labels: {{{labels}}}, annotations: {{{annotations}}}}}, spec: {{containers: [{containers}]}}}}
---
"""


INJECTED = namespace("istio-injection: enabled")
BY_DEFAULT = """
kind: ConfigMap
metadata: {name: istio-sidecar-injector, namespace: istio-system}
data: {values: '{"sidecarInjectorWebhook": {"enableNamespacesByDefault": true}}'}
---
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(namespace(""), [("IST0102", "shop", "metadata.name")], id="no label"),
        pytest.param(BY_DEFAULT + namespace(""), [("IST0148", "shop", "metadata.name")], id="no label is needed"),
        pytest.param(INJECTED, [], id="injected"),
        pytest.param(namespace("istio-injection: disabled"), [], id="not injected on purpose"),
        pytest.param(namespace("istio.io/rev: canary"), [], id="injected by a revision"),
        pytest.param(namespace("istio.io/dataplane-mode: ambient"), [], id="without sidecars on purpose"),
        pytest.param(
            namespace("istio-injection: enabled, istio.io/rev: canary"),
            [("IST0123", "shop", "metadata.labels")],
            id="two ways in",
        ),
        pytest.param(namespace("istio-injection: disabled, istio.io/rev: canary"), [], id="one way, and no"),
    ],
)
def test_namespaces(text, expected):
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "doubtful"),
    [
        pytest.param(INJECTED + pod(), True, id="no proxy"),
        pytest.param(namespace("istio-injection: disabled") + pod(), False, id="no proxy is wanted here"),
        pytest.param(INJECTED + pod(containers="{name: istio-proxy, image: i}"), False, id="a proxy"),
        pytest.param(INJECTED + pod(labels='sidecar.istio.io/inject: "false"'), False, id="no proxy on purpose"),
        pytest.param(INJECTED + pod(annotations='sidecar.istio.io/inject: "false"'), False, id="likewise, the old way"),
        pytest.param(INJECTED + pod(more=", hostNetwork: true"), False, id="on its node's network"),
    ],
)
def test_pods_without_a_proxy(text, doubtful):
    assert said(text, "IST0103") == ([("IST0103", "p", "spec.containers")] if doubtful else [])


VERSION = """
kind: ConfigMap
metadata: {name: istio-sidecar-injector, namespace: istio-system}
data: {values: '{"global": {"hub": "hub", "tag": "2", "proxy": {"image": "proxyv2"}}}'}
---
"""


@pytest.mark.parametrize(
    ("image", "annotations", "doubtful"),
    [
        pytest.param("hub/proxyv2:2", "", False, id="the same"),
        pytest.param("hub/proxyv2:1", "", True, id="another"),
        pytest.param("hub/proxyv2:1", "sidecar.istio.io/proxyImage: hub/proxyv2:1", False, id="another on purpose"),
        pytest.param("hub/proxyv2:2-debug", "", True, id="another type"),
        pytest.param(
            "hub/proxyv2:2-debug",
            "proxy.istio.io/config: 'image: {imageType: debug}'",
            False,
            id="the type that it wants",
        ),
    ],
)
def test_images_of_proxies(image, annotations, doubtful):
    text = VERSION + INJECTED + pod(annotations=annotations, containers=f"{{name: istio-proxy, image: '{image}'}}")
    assert said(text, "IST0158") == ([("IST0158", "shop", "metadata.name")] if doubtful else [])


WEBHOOK = """
kind: MutatingWebhookConfiguration
metadata: {name: istio-sidecar-injector}
webhooks:
- name: sidecar-injector.istio.io
  clientConfig: {url: "https://istiod.example.com/inject"}
  namespaceSelector: {matchExpressions: [{key: istio-injection, operator: In, values: [enabled]}]}
---
"""
AUTO = "{name: istio-proxy, image: auto}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(pod(containers=AUTO), [("IST0147", "p", "spec.containers")], id="an image that nobody filled in"),
        pytest.param(
            WEBHOOK + deployment(containers=AUTO),
            [("IST0146", "d", "spec.template.spec.containers")],
            id="an image that nobody will fill in",
        ),
        pytest.param(WEBHOOK + INJECTED + deployment(containers=AUTO), [], id="an image that injection fills in"),
        pytest.param(
            deployment(containers="{name: app, image: i, securityContext: {runAsUser: 1337}}"),
            [("IST0144", "d", "spec.template.spec.containers[0].securityContext.runAsUser")],
            id="the proxy's user",
        ),
        pytest.param(
            pod(more=", securityContext: {runAsUser: 1337}"),
            [("IST0144", "p", "spec.securityContext.runAsUser")],
            id="the proxy's user for all of a Pod",
        ),
        pytest.param(
            pod(containers=", ".join(f"{{name: {n}, image: i, securityContext: {{runAsUser: 1337}}}}" for n in "ab")),
            [("IST0144", "p", "spec.containers[0].securityContext.runAsUser")],
            id="the proxy's user twice in a Pod",
        ),
        pytest.param(
            pod(labels="istio: pilot", more=", securityContext: {runAsUser: 1337}"),
            [],
            id="the control plane's own Pods",
        ),
    ],
)
def test_containers(text, expected):
    assert said(text, "IST0144", "IST0146", "IST0147") == expected


def service(name, port, target, protocol="TCP"):
    ports = f"[{{name: http, port: {port}, targetPort: {target}, protocol: {protocol}}}]"
    spec = f"{{selector: {{app: web}}, ports: {ports}}}"
    return f"kind: Service\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n---\n"


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        pytest.param(service("a", 80, 8080) + service("b", 80, 8080), [], id="two that say the same"),
        pytest.param(service("a", 80, 8080) + service("b", 81, 8080), ["IST0137"], id="two ports to one target"),
        pytest.param(
            service("a", 80, 8080) + service("b", 80, 8081, "UDP"), ["IST0116"], id="two protocols of one port"
        ),
    ],
)
def test_ports_of_deployments(text, codes):
    assert [code for code, _, _ in said(INJECTED + deployment() + text)] == codes
    outside = INJECTED + deployment(annotations='sidecar.istio.io/inject: "false"') + text
    assert said(outside) == []


ISTIOD = """
kind: RequestAuthentication
metadata: {name: r, namespace: shop}
spec: {jwtRules: [{issuer: i, jwksUri: "https://example.com/keys"}]}
---
""" + deployment(own="app: istiod")


def test_an_istiod_that_fetches_keys_from_anywhere():
    assert said(ISTIOD, "IST0175") == [("IST0175", "d", "spec.template.spec.containers")]
    blocked = "{name: app, image: i, env: [{name: BLOCKED_CIDRS_IN_JWKS_URIS, value: 169.254.0.0/16}]}"
    assert said(ISTIOD.replace("{name: app, image: i}", blocked), "IST0175") == []
    assert said(deployment(own="app: istiod"), "IST0175") == []


@pytest.mark.parametrize(
    ("annotation", "code"),
    [
        pytest.param("example.com/x: text", "", id="not Istio's"),
        pytest.param("sidecar.istio.io/status: x", "", id="made by injection"),
        pytest.param("sidecar.istio.io/proxyCPU: 100m", "", id="a good value"),
        pytest.param("sidecar.istio.io/proxyCPU: a lot", "IST0125", id="a bad quantity"),
        pytest.param("sidecar.istio.io/interceptionMode: foo", "IST0125", id="a bad mode"),
        pytest.param("traffic.sidecar.istio.io/excludeOutboundPorts: '80,x'", "IST0125", id="a bad port"),
        pytest.param("traffic.sidecar.istio.io/includeOutboundIPRanges: 10.0.0.1", "IST0125", id="a bad range"),
        pytest.param("proxy.istio.io/config: 'concurrency: many'", "IST0125", id="settings of no use"),
        pytest.param("proxy.istio.io/config: 'concurrency: 2'", "", id="settings"),
        pytest.param("networking.istio.io/exportTo: x", "IST0107", id="one for Services"),
        pytest.param("sidecar.istio.io/injected: x", "IST0108", id="an unknown one"),
        pytest.param("sidecar.istio.io/discoveryAddress: x", "IST0135", id="a deprecated one"),
    ],
)
def test_annotations(annotation, code):
    expected = [(code, "p", f'metadata.annotations["{annotation.partition(":")[0]}"]')] if code else []
    assert said(pod(annotations=annotation)) == expected


def test_an_object_may_ask_not_to_be_told():
    asked = "galley.istio.io/analyze-suppress: 'IST0107, IST0108'"
    assert said(pod(annotations=f"{asked}, sidecar.istio.io/injected: x")) == []
    assert said(pod(annotations="galley.istio.io/analyze-suppress: '*', sidecar.istio.io/injected: x")) == []
    assert len(said(pod(annotations="galley.istio.io/analyze-suppress: IST0101, sidecar.istio.io/injected: x"))) == 1
