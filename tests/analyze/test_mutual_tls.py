"""What is said of policies and rules of mutual TLS."""

import pytest

from tests.analyze.analysis import VERSIONS, findings

VERSIONS["PeerAuthentication"] = "security.istio.io/v1"
CODES = {f"PP044{number}" for number in range(1, 9)} | {"IST0127"}


def said(text: str) -> list[tuple[str, str, str]]:
    return [(one.code, one.ref.name, one.field) for one in findings(text) if one.code in CODES]


def policy(name: str, mode: str, *, namespace="shop", selector="", ports="", age=1) -> str:
    selector = f"selector: {{matchLabels: {{{selector}}}}}, " if selector else ""
    ports = f", portLevelMtls: {{{ports}}}" if ports else ""
    meta = f'name: {name}, namespace: {namespace}, creationTimestamp: "2024-01-01T00:00:0{age}Z"'
    return f"{{kind: PeerAuthentication, metadata: {{{meta}}}, spec: {{{selector}mtls: {{mode: {mode}}}{ports}}}}}"


def pod(name: str, labels: str = "app: a", *, namespace="shop", proxy=True, ip="10.0.0.1", node="n") -> str:
    """A Pod that runs on a node, or one that is only written (node "")."""
    labels = f"{labels}, security.istio.io/tlsMode: istio" if proxy else labels
    meta = f"name: {name}, namespace: {namespace}, labels: {{{labels}}}"
    return (
        f"{{kind: Pod, metadata: {{{meta}}}, spec: {{nodeName: '{node}', containers: [{{name: c, image: i}}]}},"
        f" status: {{podIP: {ip}}}}}"
    )


def unproxied(name: str, labels: str = "app: a", *, namespace="shop") -> str:
    """As a file says it, before anybody runs it."""
    return pod(name, labels, namespace=namespace, proxy=False, node="")


SERVICE = (
    "{kind: Service, metadata: {name: a, namespace: shop}, spec: {selector: {app: a}, ports: [{port: 80, name: http}]}}"
)
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a-1, namespace: shop, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1], targetRef: {kind: Pod, name: p, namespace: shop}}]
ports: [{name: http, port: 80}]
"""


def rule(tls: str) -> str:
    return (
        "{kind: DestinationRule, metadata: {name: r, namespace: shop}, "
        f"spec: {{host: a, trafficPolicy: {{tls: {{{tls}}}}}}}}}"
    )


NOTHING: list[tuple[str, str, str]] = []
INSISTING = "spec.mtls.mode"
POLICIES = {
    "a policy that selects a Pod is fine": ([policy("w", "STRICT", selector="app: a"), pod("p")], NOTHING),
    "one that selects none is said": (
        [policy("w", "STRICT", selector="app: b"), pod("p")],
        [("IST0127", "w", "spec.selector.matchLabels")],
    ),
    "Pods of other namespaces do not count": (
        [policy("w", "STRICT", selector="app: a"), pod("p", namespace="other")],
        [("IST0127", "w", "spec.selector.matchLabels")],
    ),
    "the root namespace selects nobody": (
        [policy("w", "STRICT", selector="app: a", namespace="istio-system"), pod("p")],
        [("PP0441", "w", "spec.selector")],
    ),
    "of two for a namespace the younger is said": (
        [policy("a", "STRICT", age=2), policy("b", "PERMISSIVE", age=1), pod("p")],
        [("PP0442", "a", "spec.mtls")],
    ),
    "of two for the same workloads the younger is said": (
        [policy("a", "STRICT", selector="app: a", age=1), policy("b", "STRICT", selector="app: a", age=2), pod("p")],
        [("PP0442", "b", "spec.mtls")],
    ),
    "a server without a proxy is said": (
        [policy("all", "STRICT"), pod("p", proxy=False)],
        [("PP0443", "all", INSISTING)],
    ),
    "a client without a proxy is said": (
        [policy("all", "STRICT"), pod("p"), pod("q", namespace="other", proxy=False)],
        [("PP0444", "all", INSISTING)],
    ),
    "for the whole mesh all are servers": (
        [policy("m", "STRICT", namespace="istio-system"), pod("q", namespace="other", proxy=False)],
        [("PP0443", "m", INSISTING)],
    ),
    "the cluster's own Pods are no clients": (
        [policy("all", "STRICT"), pod("p"), pod("q", namespace="kube-system", proxy=False)],
        NOTHING,
    ),
    "others of the namespace are clients of those that are selected": (
        [policy("w", "STRICT", selector="app: a"), pod("p"), pod("q", "app: b", proxy=False)],
        [("PP0444", "w", INSISTING)],
    ),
    "a port that insists is enough": (
        [policy("w", "UNSET", selector="app: a", ports="80: {mode: STRICT}"), pod("p", proxy=False)],
        [("PP0443", "w", "spec.portLevelMtls")],
    ),
    "of Pods that are only written nobody knows yet": (
        [policy("all", "STRICT"), unproxied("p"), unproxied("q", namespace="other")],
        NOTHING,
    ),
    "unless they say no": (
        [policy("all", "STRICT"), unproxied("p", 'app: a, sidecar.istio.io/inject: "false"')],
        [("PP0443", "all", INSISTING)],
    ),
    "or their Namespace does not say yes": (
        [policy("all", "STRICT"), unproxied("p"), "{kind: Namespace, metadata: {name: shop}}"],
        [("PP0443", "all", INSISTING)],
    ),
    "PERMISSIVE is fine with all": ([policy("all", "PERMISSIVE"), pod("p", proxy=False)], NOTHING),
}


@pytest.mark.parametrize(("objects", "expected"), POLICIES.values(), ids=POLICIES)
def test_policies(objects, expected):
    assert said("\n---\n".join(objects)) == expected


MODE = "spec.trafficPolicy.tls.mode"
RULES = {
    "mutual TLS to Pods with a proxy is fine": ([rule("mode: ISTIO_MUTUAL"), pod("p")], NOTHING),
    "mutual TLS to Pods without is said": (
        [rule("mode: ISTIO_MUTUAL"), pod("p", proxy=False)],
        [("PP0446", "r", MODE)],
    ),
    "of Pods that are only written nobody knows what they will speak": (
        [rule("mode: ISTIO_MUTUAL"), unproxied("p")],
        NOTHING,
    ),
    "mutual TLS where plaintext is taken is said": (
        [rule("mode: ISTIO_MUTUAL"), pod("p"), policy("all", "DISABLE")],
        [("PP0445", "r", MODE)],
    ),
    "plaintext where mutual TLS is taken is said": (
        [rule("mode: DISABLE"), pod("p"), policy("all", "STRICT")],
        [("PP0445", "r", MODE)],
    ),
    "plaintext where both are taken is fine": ([rule("mode: DISABLE"), pod("p")], NOTHING),
    "an identity of the mesh is fine": (
        [rule("mode: ISTIO_MUTUAL, subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/default', a.b]"), pod("p")],
        NOTHING,
    ),
    "an identity that no server has is said": (
        [rule("mode: ISTIO_MUTUAL, subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/other', a.b]"), pod("p")],
        [("PP0448", "r", "spec.trafficPolicy.tls.subjectAltNames")],
    ),
    "an identity of nobody is said": (
        [rule("mode: ISTIO_MUTUAL, subjectAltNames: [a, 'spiffe://cluster.locale/ns/shop/sa/a']"), pod("p")],
        [("PP0447", "r", "spec.trafficPolicy.tls.subjectAltNames[1]")],
    ),
}


@pytest.mark.parametrize(("objects", "expected"), RULES.values(), ids=RULES)
def test_rules(objects, expected):
    assert said("\n---\n".join([*objects, SERVICE, SLICE])) == expected


def test_of_many_pods_some_are_named():
    pods = [pod(f"p{number}", proxy=False) for number in range(5)]
    (found,) = [one for one in findings("\n---\n".join([policy("all", "STRICT"), *pods])) if one.code == "PP0443"]
    assert found.message.startswith("5 Pods (p0.shop, p1.shop, p2.shop, and 2 more) have no proxy")
    assert found.hint
