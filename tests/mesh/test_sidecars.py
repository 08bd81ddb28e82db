"""Sidecars: which one applies, and what it lets its workloads reach."""

import pytest

from pilotpy.engine import query
from pilotpy.mesh.imports import Import, imports
from pilotpy.mesh.service import Protocol
from pilotpy.mesh.sidecars import sidecar_for
from pilotpy.mesh.view import Chosen, Fallback, Whole
from pilotpy.model.resource import Ref
from pilotpy.model.selector import PortSelector
from pilotpy.model.service_entry import ServicePort
from pilotpy.model.sidecar import IstioEgressListener, IstioIngressListener, OutboundTrafficPolicy, SidecarPort
from pilotpy.model.virtual_service import Destination, HTTPRoute, HTTPRouteDestination
from tests.mesh.world import World, entry, key, kube_service, routes, rule, sidecar

A = key("shop", "a")


def mesh(*more):
    return World(kube_service("shop", "a"), kube_service("shop", "b"), kube_service("bank", "c"), *more)


def reached(world, namespace="client"):
    return [
        (selected.service.namespace, selected.service.host.partition(".svc")[0], *selected.ports)
        for selected in world.services(world.scope(namespace))
    ]


ALL = [("bank", "c.bank"), ("shop", "a.shop"), ("shop", "b.shop")]


class TestWhichApplies:
    def chosen(self, *written, labels=(("app", "x"),)):
        found = World(*written).engine.ask(_query(labels))
        return found and f"{found.namespace}/{found.name}"

    def test_none(self):
        assert self.chosen() is None

    def test_one_that_selects_the_workload_wins_over_one_for_all(self):
        assert self.chosen(sidecar("client", "a"), sidecar("client", "b", labels={"app": "x"})) == "client/b"

    def test_one_that_selects_others_does_not_count(self):
        assert self.chosen(sidecar("client", "a"), sidecar("client", "b", labels={"app": "y"})) == "client/a"

    def test_the_root_namespaces_is_for_all_who_have_none(self):
        assert self.chosen(sidecar("istio-system", "r")) == "istio-system/r"
        assert self.chosen(sidecar("istio-system", "r"), sidecar("client", "a")) == "client/a"

    def test_one_of_the_root_namespace_with_a_selector_is_not(self):
        assert self.chosen(sidecar("istio-system", "r", labels={"app": "x"})) is None


def _query(labels):
    return query(lambda q: sidecar_for(q, "client", labels))


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        pytest.param(["*/*"], ALL, id="everything"),
        pytest.param(["shop/*"], ALL[1:], id="a namespace"),
        pytest.param(["~/*"], [], id="nothing"),
        pytest.param(["./*"], [], id="the own namespace, which is empty"),
        pytest.param(["shop/a.shop.svc.cluster.local"], [("shop", "a.shop")], id="one host"),
        pytest.param(["*/a.shop.svc.cluster.local"], [("shop", "a.shop")], id="one host wherever it is"),
        pytest.param(["bank/a.shop.svc.cluster.local"], [], id="one host of the wrong namespace"),
        pytest.param(["*/*.bank.svc.cluster.local"], ALL[:1], id="a wildcard"),
        pytest.param(["*/*", "~shop/*"], ALL[:1], id="everything but a namespace"),
        pytest.param(["shop/*", "~*/b.shop.svc.cluster.local"], ALL[1:2], id="a namespace but for one host"),
        pytest.param(["nonsense", "shop/a*b"], [], id="malformed entries let in nothing"),
    ],
)
def test_what_a_sidecar_lets_in(hosts, expected):
    assert reached(mesh(sidecar("client", "s", *hosts))) == expected


def test_a_namespace_that_is_let_in_whole_stays_shared():
    world = mesh(sidecar("client", "s", "shop/*"), rule("shop", "r", "a"), routes("shop", "v", "a"))
    assert world.scope("client").parts == (Whole("shop"),)


def test_a_sidecar_without_egress_lets_in_everything():
    world = mesh(sidecar("client", "s", ingress=(IstioIngressListener(port=SidecarPort(number=80)),)))
    assert world.scope("client").parts == world.scope("other").parts
    assert world.view("p.client").inbound.sidecar == Ref("Sidecar", "client", "s")


def test_a_private_service_of_a_namespace_let_in_whole_stays_private():
    world = mesh(sidecar("client", "s", "shop/*"), kube_service("shop", "p", export_to="."))
    assert reached(world) == ALL[1:]


def test_own_rules_hold_in_a_narrowed_scope_too():
    world = mesh(sidecar("client", "s", "shop/*"), rule("client", "r", A.host))
    scope = world.scope("client")
    assert scope.parts[0] == Whole("shop", (A,))
    assert [ref.name for ref in world.found(scope, A.host).rules] == ["r"]


def test_the_imported_of_several_with_one_host_counts():
    world = World(entry("old", "e", "x.com", age=1), entry("new", "e", "x.com", age=2))
    world.put(sidecar("client", "s", "new/*"))
    assert reached(world) == [("new", "x.com")]


class TestRoutes:
    def seen(self, world, host=A.host):
        return [ref.name for ref in world.found(world.scope("client"), host).routes]

    def test_one_of_a_namespace_that_is_not_let_in_does_not_hold(self):
        assert self.seen(mesh(sidecar("client", "s", "shop/*"), routes("bank", "v", A.host))) == []

    def test_one_of_a_namespace_that_is_let_in_does(self):
        assert self.seen(mesh(sidecar("client", "s", "shop/*"), routes("shop", "v", "a"))) == ["v"]

    def test_hosts_may_overlap_either_way(self):
        narrow = "shop/a.shop.svc.cluster.local"
        assert self.seen(mesh(sidecar("client", "s", narrow), routes("shop", "v", "*.local"))) == ["v"]

    def test_an_older_one_that_is_not_let_in_hides_none(self):
        world = mesh(sidecar("client", "s", "shop/*"))
        world.put(routes("bank", "o", A.host, age=1), routes("shop", "n", "a", age=2))
        assert self.seen(world) == ["n"]

    def test_where_they_send_traffic_comes_along(self):
        world = mesh(sidecar("client", "s", "shop/a.shop.svc.cluster.local"), routes("shop", "v", "a", to="b"))
        assert reached(world) == [("shop", "a.shop"), ("shop", "b.shop")]

    def test_with_the_port_that_they_name(self):
        there = {"host": "c.bank.svc.cluster.local", "port": {"number": 80}}
        world = mesh(sidecar("client", "s", "shop/*"), _sending("shop", "v", "a", there))
        assert reached(world) == [("bank", "c.bank", 80), *ALL[1:]]

    def test_one_for_a_host_that_is_not_let_in_is_loose(self):
        world = mesh(sidecar("client", "s", "client/*"), routes("client", "v", A.host, to="b.shop.svc.cluster.local"))
        assert [ref.name for ref in world.scope("client").loose] == ["v"]
        assert reached(world) == [("shop", "b.shop")]


def _sending(namespace, name, host, destination):
    to = Destination(host=destination["host"], port=PortSelector(number=destination["port"]["number"]))
    return routes(namespace, name, host, http=(HTTPRoute(route=(HTTPRouteDestination(destination=to),)),))


class TestListeners:
    def world(self, *listeners):
        ports = (ServicePort(number=80, name="http", protocol="HTTP"), ServicePort(number=9, name="t", protocol="TCP"))
        return mesh(entry("shop", "e", "e.com", ports=ports), sidecar("client", "s", egress=listeners))

    def test_a_plain_one_is_no_listener_of_its_own(self):
        assert self.world(IstioEgressListener(hosts=("shop/*",))).scope("client").egress == ()

    def test_one_with_a_port_has_services_with_that_port_only(self):
        port = SidecarPort(number=9, protocol="TCP", name="t")
        scope = (world := self.world(IstioEgressListener(port=port, hosts=("*/*",)))).scope("client")
        (listener,) = scope.egress
        assert (listener.port, listener.protocol, listener.captured) == (9, Protocol.TCP, True)
        assert listener.parts == scope.parts
        assert reached(world) == [("shop", "e.com", 9)]

    def test_an_http_proxy_has_all_ports(self):
        port = SidecarPort(number=9, protocol="HTTP_PROXY", name="t")
        assert reached(self.world(IstioEgressListener(port=port, hosts=("bank/*",)))) == ALL[:1]

    def test_the_scope_holds_what_all_of_them_let_in(self):
        port = SidecarPort(number=80, protocol="HTTP", name="h")
        bound = IstioEgressListener(port=port, bind="127.0.0.1", capture_mode="NONE", hosts=("bank/*", "shop/e.com"))
        world = self.world(bound, IstioEgressListener(hosts=("shop/*",)))
        first, second = world.scope("client").egress
        assert (first.bind, first.captured, second.is_plain) == ("127.0.0.1", False, True)
        assert second.parts == (Whole("shop"),)
        assert reached(world) == [("bank", "c.bank", 80), *ALL[1:], ("shop", "e.com")]

    def test_two_with_ports_give_a_service_both(self):
        ports = [SidecarPort(number=number, protocol="TCP", name="t") for number in (9, 80)]
        world = self.world(*(IstioEgressListener(port=port, hosts=("*/e.com",)) for port in ports))
        assert reached(world) == [("shop", "e.com", 9, 80)]
        assert isinstance(world.scope("client").parts[0], Chosen)


class TestFallback:
    def test_the_sidecars_policy_replaces_the_meshs(self):
        world = mesh(sidecar("client", "s", outbound_traffic_policy=OutboundTrafficPolicy()))
        assert world.scope("client").fallback == Fallback(allow_any=False)
        assert world.scope("other").fallback == Fallback(allow_any=True)

    def test_unknown_traffic_may_go_to_an_egress_proxy(self):
        policy = OutboundTrafficPolicy(mode="ALLOW_ANY", egress_proxy=Destination(host="a.shop.svc.cluster.local"))
        world = mesh(sidecar("client", "s", outbound_traffic_policy=policy))
        assert world.scope("client").fallback.egress_proxy == "outbound|0||a.shop.svc.cluster.local"


def test_the_order_of_hosts_is_no_matter():
    assert imports(("a/*", "./x.com", "~b/y.com"), "me") == imports(("~b/y.com", "./X.com", "a/*"), "me")
    assert imports(("./x.com",), "me").wanted == (Import("me", "x.com"),)


def test_proxies_whose_sidecars_say_the_same_share_their_parts():
    world = mesh(sidecar("client", "x", "shop/*", labels={"app": "x"}), sidecar("client", "y", "shop/*"))
    scopes = [world.view("p.client", LABELS={"app": app}).scope for app in ("x", "y")]
    assert scopes[0] == scopes[1]
