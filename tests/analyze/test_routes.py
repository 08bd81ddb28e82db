"""What is doubtful about VirtualServices: where they send to, and who else is for their hosts."""

import pytest

from tests.analyze.analysis import said

WORLD = """
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
kind: Service
metadata: {name: two, namespace: shop}
spec: {ports: [{name: http, port: 80}, {name: http-b, port: 81}]}
---
kind: ServiceEntry
metadata: {name: wide, namespace: shop}
spec: {hosts: ["*.example.com"], ports: [{name: http, number: 80, protocol: HTTP}]}
---
kind: ServiceEntry
metadata: {name: own, namespace: bank}
spec: {hosts: [own.bank], exportTo: ["."], ports: [{name: http, number: 80, protocol: HTTP}]}
---
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec: {host: web, subsets: [{name: v1, labels: {}}]}
---
kind: DestinationRule
metadata: {name: wide, namespace: shop}
spec: {host: "*.example.com", subsets: [{name: v2, labels: {}}]}
---
"""
TO = "spec.http[0].route[0].destination"


def route(destination, namespace="shop", more=""):
    return f"""
kind: VirtualService
metadata: {{name: v, namespace: {namespace}}}
spec: {{hosts: [some.host], {more} http: [{{route: [{{destination: {{{destination}}}}}]}}]}}
---
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(route("host: web"), [], id="a Service of the namespace"),
        pytest.param(route("host: web", "bank"), [("IST0101", "v", f"{TO}.host")], id="a Service of another one"),
        pytest.param(route("host: web.shop.svc.cluster.local", "bank"), [], id="its whole name"),
        pytest.param(route("host: a.example.com"), [], id="a host that a wildcard covers"),
        pytest.param(route("host: own.bank"), [("IST0101", "v", f"{TO}.host")], id="a host that only others see"),
        pytest.param(route("host: own.bank", more="exportTo: [bank],"), [], id="a host that those see for whom it is"),
        pytest.param(route("host: web, port: {number: 81}"), [("IST0101", "v", f"{TO}.port")], id="no such port"),
        pytest.param(route("host: two"), [("IST0112", "v", f"{TO}.port")], id="several ports to choose from"),
        pytest.param(route("host: two, port: {number: 81}"), [], id="one of several ports"),
        pytest.param(route("host: web, subset: v1"), [], id="a subset"),
        pytest.param(route("host: web, subset: v2"), [("IST0101", "v", f"{TO}.subset")], id="no such subset"),
        pytest.param(route("host: a.example.com, subset: v2"), [], id="a subset of a wildcard"),
        pytest.param(
            route("host: web", more="tcp: [{route: [{destination: {host: none}}]}],"),
            [("IST0101", "v", "spec.tcp[0].route[0].destination.host")],
            id="TCP to nobody",
        ),
    ],
)
def test_destinations(text, expected):
    assert [one for one in said(WORLD + text) if one[1] == "v"] == expected


def test_mirrors_are_destinations_too():
    mirrored = (
        WORLD
        + """
kind: VirtualService
metadata: {name: v, namespace: shop}
spec:
  hosts: [web]
  http:
  - route: [{destination: {host: web}}]
    mirror: {host: none}
    mirrors: [{destination: {host: web, subset: none}}]
"""
    )
    assert said(mirrored, "IST0101") == [
        ("IST0101", "v", "spec.http[0].mirror.host"),
        ("IST0101", "v", "spec.http[0].mirrors[0].destination.subset"),
    ]


def claim(name, namespace, host, more=""):
    return f"""
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{hosts: ["{host}"], {more} http: [{{route: [{{destination: {{host: web.shop.svc.cluster.local}}}}]}}]}}
---
"""


@pytest.mark.parametrize(
    ("texts", "rivals"),
    [
        pytest.param(
            (claim("a", "shop", "web"), claim("b", "shop", "web.shop.svc.cluster.local")), "ab", id="one host"
        ),
        pytest.param((claim("a", "shop", "web"), claim("b", "bank", "web")), "", id="one short name in two namespaces"),
        pytest.param(
            (claim("a", "shop", "x.com"), claim("b", "bank", "x.com")), "ab", id="one host from two namespaces"
        ),
        pytest.param(
            (claim("a", "shop", "x.com", 'exportTo: ["."],'), claim("b", "bank", "x.com", 'exportTo: ["."],')),
            "",
            id="one host that each keeps to itself",
        ),
        pytest.param(
            (claim("a", "shop", "x.com", 'exportTo: ["."],'), claim("b", "bank", "x.com")),
            "ab",
            id="one of two is public",
        ),
        pytest.param(
            (claim("a", "shop", "x.com", "gateways: [g],"), claim("b", "shop", "x.com")), "", id="one is for a gateway"
        ),
    ],
)
def test_rival_hosts(texts, rivals):
    assert sorted(said(WORLD + "".join(texts), "IST0109")) == [("IST0109", name, "spec.hosts") for name in rivals]


def test_a_route_through_a_gateway_passes_the_subsets_of_the_mesh():
    inside = claim("in", "shop", "web").replace("host: web.shop.svc.cluster.local", "host: web, subset: v1")
    outside = claim("out", "shop", "x.com", "gateways: [g],").replace("web.shop.svc.cluster.local", "web")
    assert said(WORLD + inside + outside, "IST0140") == [("IST0140", "out", f"{TO}.host")]


GATEWAY = """
kind: Pod
metadata: {name: in-1, namespace: istio-system, labels: {istio: ingressgateway}}
---
kind: Gateway
metadata: {name: g, namespace: shop}
spec: {selector: {istio: ingressgateway}, servers: []}
---
kind: VirtualService
metadata: {name: v, namespace: shop}
spec:
  hosts: [x.com]
  gateways: [g]
  http: [{match: [{headers: {"@request.auth.claims.group": {exact: a}}}], route: [{destination: {host: web}}]}]
---
kind: RequestAuthentication
metadata: {name: r, namespace: WHERE}
spec: {selector: {matchLabels: {istio: WHOM}}}
"""


@pytest.mark.parametrize(
    ("where", "whom", "doubtful"),
    [
        pytest.param("istio-system", "ingressgateway", False, id="tokens are verified"),
        pytest.param("istio-system", "egressgateway", True, id="others verify tokens"),
        pytest.param("shop", "ingressgateway", True, id="the policy is not where the gateway is"),
    ],
)
def test_routes_by_claims(where, whom, doubtful):
    text = WORLD + GATEWAY.replace("WHERE", where).replace("WHOM", whom)
    expected = [("IST0149", "v", "spec.http[0].match[0].headers")] if doubtful else []
    assert said(text, "IST0149") == expected
