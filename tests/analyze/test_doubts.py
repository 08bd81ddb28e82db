"""What is doubtful about an object beside others."""

import pytest

from pilotpy.analyze.doubts import doubts
from pilotpy.model.destination_rule import Subset
from pilotpy.model.resource import Ref
from pilotpy.model.service_entry import ServicePort
from tests.mesh.world import World, entry, kube_service, pod, routes, rule, sidecar

X = {"app": "x"}
POD = pod("shop", "x-1", "10.1.0.1", app="x", tier="front")
HTTP = ServicePort(number=443, name="web", protocol="HTTP")
TCP = ServicePort(number=443, name="raw", protocol="TCP")


def said(world, ref):
    return [(finding.code, finding.field) for finding in world.engine.ask(doubts, ref)]


@pytest.mark.parametrize(
    ("looked_at", "others", "expected"),
    [
        pytest.param(sidecar("shop", "s", "./*", labels=X), [POD], [], id="a selector that picks a Pod"),
        pytest.param(
            sidecar("shop", "s", "./*", labels=X),
            [],
            [("IST0101", "spec.workloadSelector.labels")],
            id="a selector that picks nobody",
        ),
        pytest.param(
            sidecar("shop", "s", "./*", labels=X),
            [POD, sidecar("shop", "t", "./*", labels={"tier": "front"})],
            [("IST0110", "spec.workloadSelector.labels")],
            id="two Sidecars that pick one Pod",
        ),
        pytest.param(
            sidecar("shop", "s", "./*"), [sidecar("shop", "t", "./*")], [("IST0111", "")], id="two Sidecars for all"
        ),
        pytest.param(
            sidecar("shop", "s", "./*"), [sidecar("bank", "t", "./*")], [], id="a Sidecar for all in each namespace"
        ),
        pytest.param(rule("shop", "r", "x"), [], [("IST0174", "spec.host")], id="a rule for a host that is not there"),
        pytest.param(
            rule("shop", "r", "*.bank.svc.cluster.local"),
            [kube_service("bank", "c")],
            [],
            id="a wildcard over services",
        ),
        pytest.param(
            rule("shop", "r", "x", subsets=(Subset(name="a", labels={"tier": "front"}), Subset(name="b", labels=X))),
            [kube_service("shop", "x"), POD],
            [],
            id="subsets with Pods",
        ),
        pytest.param(
            rule("shop", "r", "x", subsets=(Subset(name="a"), Subset(name="b", labels={"tier": "back"}))),
            [kube_service("shop", "x"), POD],
            [("IST0173", "spec.subsets[1].labels")],
            id="a subset without Pods",
        ),
        pytest.param(
            rule("shop", "r", "e.com", subsets=(Subset(name="a", labels=X),)),
            [entry("shop", "e", "e.com")],
            [],
            id="a subset of what is outside",
        ),
        pytest.param(
            entry("shop", "e", "e.com", ports=(TCP,)), [], [("IST0134", "spec.ports[0].protocol")], id="TCP everywhere"
        ),
        pytest.param(
            entry("shop", "e", "e.com", ports=(TCP,), addresses=("192.0.2.1",)), [], [], id="TCP at an address"
        ),
        pytest.param(
            entry("shop", "e", "e.com", ports=(HTTP,)),
            [entry("bank", "f", "e.com")],
            [("IST0177", "spec.ports[0].protocol")],
            id="two protocols for a port that somebody sees both of",
        ),
        pytest.param(
            entry("shop", "e", "e.com", ports=(HTTP,), export_to=(".",)),
            [entry("bank", "f", "e.com", export_to=(".",))],
            [],
            id="two protocols for a port that nobody sees both of",
        ),
        pytest.param(
            routes("shop", "v", "a.com", gateways=("mesh", "gw")),
            [entry("shop", "a", "a.com")],
            [("IST0101", "spec.gateways[1]"), ("IST0132", "spec.hosts")],
            id="a gateway that is not there",
        ),
        pytest.param(routes("shop", "v", "a.com"), [entry("shop", "a", "a.com")], [], id="no gateway at all"),
    ],
)
def test_doubts(looked_at, others, expected):
    assert said(World(looked_at, *others), looked_at.ref) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param("ports: [{name: http, port: 80}]", [], id="a name that says a protocol"),
        pytest.param("ports: [{name: web, port: 80, appProtocol: http}]", [], id="appProtocol says it"),
        pytest.param("ports: [{port: 80}]", [("IST0118", "spec.ports[0].name")], id="no name"),
        pytest.param("ports: [{name: web, port: 3306}]", [("IST0118", "spec.ports[0].name")], id="a well-known number"),
        pytest.param("ports: [{name: dns, port: 53, protocol: UDP}]", [], id="UDP needs no name"),
        pytest.param(
            "type: ExternalName\n  externalName: a.com\n  ports: [{name: tcp, port: 80}]",
            [("IST0150", "spec.ports[0].name")],
            id="TCP of an external name",
        ),
        pytest.param(
            "type: ExternalName\n  externalName: b.shop.svc.cluster.local",
            [("PP0112", "spec.externalName")],
            id="a circle",
        ),
        pytest.param("type: ExternalName\n  externalName: c.shop.svc.cluster.local", [], id="an alias of a service"),
    ],
)
def test_doubts_about_services(spec, expected):
    alias = """
apiVersion: v1
kind: Service
metadata: {name: b, namespace: shop}
spec: {type: ExternalName, externalName: a.shop.svc.cluster.local}
"""
    looked_at = f"apiVersion: v1\nkind: Service\nmetadata: {{name: a, namespace: shop}}\nspec:\n  {spec}\n"
    world = World(looked_at, alias, kube_service("shop", "c"))
    assert said(world, Ref("Service", "shop", "a")) == expected


def test_what_is_gone_is_not_doubtful():
    for kind in ("Sidecar", "DestinationRule", "ServiceEntry", "Service", "VirtualService", "AuthorizationPolicy"):
        assert said(World(), Ref(kind, "shop", "none")) == []
