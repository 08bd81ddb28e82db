"""What a namespace's clients may reach: as everybody sees it, but for what is theirs alone."""

import pytest

from pilotpy.mesh.own import selected_for_all
from pilotpy.mesh.service import ServiceKey
from pilotpy.mesh.view import Chosen, Fallback, Selected, Whole
from pilotpy.model.mesh_config import OutboundTrafficPolicy
from pilotpy.model.resource import Ref
from pilotpy.model.selector import WorkloadSelector
from pilotpy.model.virtual_service import HTTPMatchRequest, HTTPRoute
from tests.mesh.world import World, entry, key, kube_service, routes, rule

A = key("shop", "a")
B = key("shop", "b")
HOST = A.host


def shop(*more):
    return World(kube_service("shop", "a"), kube_service("shop", "b"), kube_service("bank", "c"), *more)


def rules_seen(world, namespace, host=HOST):
    return [ref.name for ref in world.found(world.scope(namespace), host).rules]


def routes_seen(world, namespace, host=HOST):
    return [ref.name for ref in world.found(world.scope(namespace), host).routes]


def test_clients_share_all_that_they_see_alike():
    world = shop(rule("shop", "r", "a"), routes("shop", "v", "a"))
    scopes = [world.scope(namespace) for namespace in ("shop", "bank", "empty")]
    assert {scope.parts for scope in scopes} == {(Whole("bank"), Whole("shop"))}
    assert [scope.namespace for scope in scopes] == ["shop", "bank", "empty"]


def test_a_service_with_its_policies():
    world = shop(rule("shop", "r", "a"), routes("shop", "v", "a"))
    expected = Selected(A, (Ref("DestinationRule", "shop", "r"),), (Ref("VirtualService", "shop", "v"),))
    assert world.found(world.scope("bank"), HOST) == expected
    assert expected in world.services(world.scope("bank"))


def test_a_host_that_is_nobodys_is_not_found():
    world = shop()
    assert world.found(world.scope("bank"), "no.shop.svc.cluster.local") is None


class TestVisibility:
    def test_a_private_service_is_seen_at_home_only(self):
        world = shop(kube_service("shop", "p", export_to="."))
        own = world.scope("shop")
        assert own.parts == (Whole("bank"), Whole("shop"), Chosen("shop", (Selected(key("shop", "p"), (), ()),)))
        assert world.found(own, key("shop", "p").host)
        assert not world.found(world.scope("bank"), key("shop", "p").host)

    def test_a_service_for_one_other_namespace(self):
        world = shop(kube_service("shop", "p", export_to="bank"))
        assert world.found(world.scope("bank"), key("shop", "p").host)
        assert not world.found(world.scope("shop"), key("shop", "p").host)

    def test_a_service_for_nobody(self):
        world = shop(kube_service("shop", "p", export_to="~"))
        assert not world.found(world.scope("shop"), key("shop", "p").host)

    def test_nothing_is_public_where_the_mesh_says_so(self):
        world = shop()
        world.settings(default_service_export_to=(".",))
        assert [s.service for s in world.services(world.scope("shop"))] == [A, B]
        assert [s.service for s in world.services(world.scope("bank"))] == [key("bank", "c")]
        assert world.services(world.scope("empty")) == []


class TestOneHostInSeveralNamespaces:
    def test_a_namespace_sees_its_own_first(self):
        world = World(entry("old", "e", "x.com", age=1), entry("own", "e", "x.com", age=2), kube_service("own", "a"))
        assert world.found(world.scope("own"), "x.com").service.namespace == "own"
        assert world.found(world.scope("other"), "x.com").service.namespace == "old"
        assert world.scope("own").parts == (
            Whole("old", (ServiceKey("old", "x.com"),)),
            Whole("own"),
            Chosen("own", (Selected(ServiceKey("own", "x.com"), (), ()),)),
        )

    def test_what_is_exported_to_a_namespace_comes_before_what_is_public(self):
        world = World(entry("old", "e", "x.com", age=1), entry("new", "e", "x.com", age=2, export_to=("client",)))
        assert world.found(world.scope("client"), "x.com").service.namespace == "new"
        assert world.found(world.scope("other"), "x.com").service.namespace == "old"

    def test_no_host_comes_twice(self):
        world = World(*(entry(ns, "e", "x.com", "y.com", age=age) for age, ns in enumerate(("c", "b", "a"))))
        for namespace in ("a", "b", "c", "d"):
            hosts = [selected.service.host for selected in world.services(world.scope(namespace))]
            assert sorted(hosts) == ["x.com", "y.com"]


class TestDestinationRules:
    """First hit: the client's namespace, the service's, the root namespace."""

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            pytest.param([], ([], [], []), id="no rule"),
            pytest.param([rule("shop", "s", "a")], (["s"], ["s"], ["s"]), id="the service's namespace rules all"),
            pytest.param([rule("bank", "k", HOST)], ([], ["k"], []), id="a client's namespace rules its own clients"),
            pytest.param([rule("bank", "k", "a")], ([], [], []), id="a short name is of the rule's namespace"),
            pytest.param([rule("istio-system", "r", HOST)], (["r"], ["r"], ["r"]), id="the root namespace rules all"),
            pytest.param(
                [rule("istio-system", "r", HOST), rule("shop", "s", HOST), rule("bank", "k", HOST)],
                (["s"], ["k"], ["s"]),
                id="the nearest wins",
            ),
            pytest.param(
                [rule("shop", "s", HOST, export_to=(".",))], (["s"], [], []), id="a private rule is for its own clients"
            ),
            pytest.param(
                [rule("shop", "s", HOST, export_to=("bank",))], ([], ["s"], []), id="a rule for another namespace"
            ),
            pytest.param(
                [rule("shop", "p", HOST, export_to=(".",)), rule("istio-system", "r", HOST)],
                (["p"], ["r"], ["r"]),
                id="others fall through a private rule to the root's",
            ),
            pytest.param(
                [rule("istio-system", "r", HOST, export_to=(".",))], ([], [], []), id="a private rule of the root"
            ),
            pytest.param(
                [rule("shop", "w", "*.shop.svc.cluster.local"), rule("shop", "x", HOST)],
                (["x"], ["x"], ["x"]),
                id="an exact host wins over a wildcard",
            ),
            pytest.param(
                [rule("shop", "w", "*.local"), rule("shop", "n", "*.shop.svc.cluster.local")],
                (["n"], ["n"], ["n"]),
                id="the longer wildcard wins",
            ),
            pytest.param([rule("bank", "w", "*")], ([], ["w"], []), id="a client's wildcard"),
            pytest.param([rule("bank", "w", "*-x.shop.svc.cluster.local")], ([], [], []), id="a wildcard in a label"),
        ],
    )
    def test_which_rule_holds(self, written, expected):
        world = shop(*written)
        assert tuple(rules_seen(world, namespace) for namespace in ("shop", "bank", "other")) == expected

    def test_rules_for_one_host_are_read_as_one_oldest_first(self):
        world = shop(rule("shop", "new", "a", age=2), rule("shop", "old", HOST, age=1))
        assert rules_seen(world, "bank") == ["old", "new"]

    def test_rules_that_others_see_are_not_read_as_one(self):
        world = shop(rule("shop", "old", "a", age=1, export_to=("bank",)), rule("shop", "new", "a", age=2))
        assert rules_seen(world, "other") == ["new"]
        assert rules_seen(world, "bank") == ["new"]

    def test_a_rule_for_some_workloads_holds_for_them_alone(self):
        chooser = WorkloadSelector(match_labels={"app": "x"})
        world = shop(rule("bank", "all", HOST, age=1), rule("bank", "some", HOST, age=2, workload_selector=chooser))
        picked = world.view("x.bank", LABELS={"app": "x"}).scope
        assert [ref.name for ref in world.found(picked, HOST).rules] == ["some", "all"]
        assert rules_seen(world, "bank") == ["all"]

    def test_a_rule_that_says_what_all_have_anyway_keeps_the_share(self):
        world = shop(rule("shop", "s", "a"))
        assert world.scope("shop").parts == world.scope("other").parts

    def test_a_rule_of_the_clients_moves_one_service_only(self):
        parts = shop(rule("bank", "k", HOST)).scope("bank").parts
        assert parts[:2] == (Whole("bank"), Whole("shop", (A,)))
        assert [selected.service for selected in parts[2].services] == [A]

    def test_the_root_namespaces_own_clients_see_its_public_rules_last(self):
        world = shop(rule("istio-system", "r", HOST), rule("shop", "s", HOST))
        assert rules_seen(world, "istio-system") == ["s"]
        world.put(rule("istio-system", "p", HOST, export_to=(".",)))
        assert rules_seen(world, "istio-system") == ["p"]

    def test_the_mesh_says_who_sees_rules_that_do_not(self):
        world = shop(rule("shop", "s", "a"))
        world.settings(default_destination_rule_export_to=(".",))
        assert rules_seen(world, "shop") == ["s"]
        assert rules_seen(world, "bank") == []


class TestVirtualServices:
    """Own first, then exported, then public; exact hosts before wildcards; oldest first."""

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            pytest.param([routes("x", "v", HOST)], (["v"], ["v"]), id="a public one holds for all, whose it may be"),
            pytest.param([routes("shop", "v", "a")], (["v"], ["v"]), id="a short name"),
            pytest.param([routes("x", "v", HOST, gateways=("gw",))], ([], []), id="one for a gateway"),
            pytest.param([routes("x", "v", HOST, gateways=("gw", "mesh"))], (["v"], ["v"]), id="one for both"),
            pytest.param([routes("bank", "v", HOST, export_to=(".",))], (["v"], []), id="a private one"),
            pytest.param([routes("x", "v", HOST, export_to=("bank",))], (["v"], []), id="an exported one"),
            pytest.param(
                [
                    routes("x", "public", HOST, age=1),
                    routes("x", "exported", HOST, age=2, export_to=("bank",)),
                    routes("bank", "private", HOST, age=3, export_to=(".",)),
                ],
                (["private", "exported", "public"], ["public"]),
                id="the nearest first, however old",
            ),
            pytest.param(
                [routes("x", "n", HOST, age=2), routes("x", "o", HOST, age=1)], (["o", "n"],) * 2, id="by age"
            ),
            pytest.param(
                [routes("x", "w", "*.shop.svc.cluster.local", age=1), routes("x", "e", HOST, age=2)],
                (["e"], ["e"]),
                id="an exact host hides wildcards",
            ),
            pytest.param(
                [routes("x", "far", "*.local", age=1), routes("x", "near", "*.shop.svc.cluster.local", age=2)],
                (["near"], ["near"]),
                id="the longest wildcard",
            ),
            pytest.param(
                [routes("x", "n", "*", age=2), routes("x", "o", "*", age=1)], (["o"], ["o"]), id="one wildcard"
            ),
        ],
    )
    def test_which_routes_hold(self, written, expected):
        world = shop(*written)
        assert tuple(routes_seen(world, namespace) for namespace in ("bank", "other")) == expected

    def test_one_without_hosts_is_a_delegate_and_holds_for_nothing(self):
        world = shop(routes("shop", "v", to="a"))
        assert routes_seen(world, "shop") == []
        assert world.scope("shop").loose == ()

    def test_two_for_one_host_are_a_finding(self):
        world = shop(routes("x", "o", HOST, age=1), late := routes("x", "n", HOST, age=2))
        assert world.codes(selected_for_all, A) == [("IST0109", late.ref)]

    def test_the_mesh_says_who_sees_those_that_do_not(self):
        world = shop(routes("bank", "v", HOST))
        world.settings(default_virtual_service_export_to=(".",))
        assert routes_seen(world, "bank") == ["v"]
        assert routes_seen(world, "shop") == []


class TestLooseHosts:
    """VirtualServices for hosts that no service has."""

    def loose(self, world, namespace="bank"):
        return [ref.name for ref in world.scope(namespace).loose]

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            pytest.param(routes("x", "v", "google.com"), ["v"], id="a host outside the mesh"),
            pytest.param(routes("x", "v", HOST), [], id="a host of a service"),
            pytest.param(routes("x", "v", HOST, "google.com"), ["v"], id="one of both"),
            pytest.param(routes("x", "v", "*.google.com"), ["v"], id="a wildcard outside the mesh"),
            pytest.param(routes("x", "v", "*.shop.svc.cluster.local"), [], id="a wildcard over services"),
            pytest.param(routes("x", "v", "*"), [], id="everything"),
            pytest.param(
                routes("x", "v", "*-q.shop.svc.cluster.local"), ["v"], id="a wildcard in a label over nothing"
            ),
            pytest.param(routes("x", "v", "google.com", export_to=("y",)), [], id="not seen here"),
            pytest.param(routes("bank", "v", "google.com", export_to=(".",)), ["v"], id="private, and seen here"),
            pytest.param(routes("x", "v", "google.com", gateways=("gw",)), [], id="for a gateway"),
        ],
    )
    def test_which_are_loose(self, written, expected):
        assert self.loose(shop(written)) == expected

    def test_one_is_loose_no_more_once_its_service_is_there(self):
        world = shop(routes("x", "v", "google.com"))
        assert self.loose(world) == ["v"]
        world.put(entry("x", "e", "google.com"))
        assert self.loose(world) == []

    def test_own_ones_come_first_then_by_age(self):
        world = shop(routes("x", "n", "a.com", age=3), routes("x", "o", "b.com", age=2))
        world.put(routes("bank", "p", "c.com", age=4, export_to=(".",)))
        assert self.loose(world) == ["p", "o", "n"]


class TestSourceConditions:
    def world(self):
        asks = HTTPRoute(match=(HTTPMatchRequest(source_labels={"app": "x"}),))
        return shop(routes("shop", "v", "a", http=(asks,)))

    def test_only_labels_that_a_route_asks_for_are_told_apart(self):
        world = self.world()
        other = {"version": "v1", "team": "blue"}
        assert world.view("p.bank", LABELS={"app": "x", **other}).scope.held == (("app", "x"),)
        assert world.view("p.bank", LABELS={"app": "y", **other}).scope == world.scope("bank")


def test_unknown_destinations_go_where_the_mesh_says():
    world = shop()
    assert world.scope("bank").fallback == Fallback(allow_any=True)
    world.settings(outbound_traffic_policy=OutboundTrafficPolicy(mode="REGISTRY_ONLY"))
    assert world.scope("bank").fallback == Fallback(allow_any=False)
    world.settings(outbound_traffic_policy=OutboundTrafficPolicy(mode="ALLOW_ANY_DYNAMIC_DNS"))
    assert world.scope("bank").fallback == Fallback(allow_any=True)
