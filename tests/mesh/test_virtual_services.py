"""Delegates, and what a VirtualService's rules ask of clients."""

import pytest

from pilotpy.engine import query
from pilotpy.mesh.aliases import aliases
from pilotpy.mesh.virtual_services import SourceCondition, destinations, rules, source_conditions
from pilotpy.model.resource import Ref
from tests.mesh.world import World

ROOT = Ref("VirtualService", "default", "root")


def written(name: str, http: str, *, namespace: str = "default", hosts: str = "[]", export_to: str = "[]") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{hosts: {hosts}, exportTo: {export_to}, http: {http}}}
"""


def delegating(root: str, delegate: str, **facts) -> World:
    """A root whose one rule, with these other fields, delegates to rules in another namespace."""
    rule = f"[{{delegate: {{name: d, namespace: other}}, {root}}}]"
    return World(written("root", rule, hosts="[a.com]"), written("d", delegate, namespace="other", **facts))


def codes(world: World) -> list[tuple[str, Ref | None]]:
    return world.codes(rules, ROOT)


def test_a_delegate_takes_the_place_of_the_rule_that_names_it():
    one = "[{name: x, route: [{destination: {host: s}}]}, {name: z, directResponse: {status: 204}}]"
    found = delegating("name: r, timeout: 5s", one).engine.ask(rules, ROOT)
    assert [(rule.route.name, rule.ref.namespace, rule.field) for rule in found] == [
        ("r-x", "other", "spec.http[0]"),
        ("r-z", "other", "spec.http[1]"),
    ]
    assert [rule.route.timeout.total_seconds() for rule in found if rule.route.timeout] == [5, 5]


def test_short_hosts_of_a_delegate_mean_its_own_namespace():
    world = delegating("name: r", "[{route: [{destination: {host: s}}], mirror: {host: m}}]")
    assert world.engine.ask(destinations, ROOT) == ("m.other.svc.cluster.local", "s.other.svc.cluster.local")


def test_what_the_delegate_says_wins():
    found = delegating("timeout: 5s, name: r", "[{timeout: 1s, directResponse: {status: 204}}]").engine.ask(rules, ROOT)
    assert found[0].route.timeout.total_seconds() == 1


@pytest.mark.parametrize(
    ("root", "delegate", "want"),
    [
        pytest.param("{uri: {prefix: /a}}", "{uri: {prefix: /a/b}}", ["/a/b"], id="a longer prefix"),
        pytest.param("{uri: {prefix: /a}}", "{uri: {exact: /a/b}}", ["/a/b"], id="an exact path below the prefix"),
        pytest.param("{uri: {prefix: /a}}", "{method: {exact: GET}}", ["/a"], id="what the root says nothing about"),
        pytest.param("{uri: {prefix: /a}}, {uri: {prefix: /b}}", "{port: 80}", ["/a", "/b"], id="several of the root"),
        pytest.param("{uri: {prefix: /a}}", "", ["/a"], id="none of its own"),
        pytest.param("{port: 80}", "{uri: {prefix: /a}, port: 80}", ["/a"], id="the same port"),
        pytest.param("{gateways: [mesh, g]}", "{gateways: [g], uri: {prefix: /a}}", ["/a"], id="some of the gateways"),
    ],
)
def test_a_match_counts_within_the_roots(root, delegate, want):
    (rule,) = delegating(f"match: [{root}]", f"[{{match: [{delegate}], directResponse: {{status: 204}}}}]").engine.ask(
        rules, ROOT
    )
    assert [match.uri.prefix or match.uri.exact for match in rule.route.match if match.uri] == want


@pytest.mark.parametrize(
    ("root", "delegate"),
    [
        pytest.param("uri: {prefix: /a/b}", "uri: {prefix: /a}", id="a shorter prefix"),
        pytest.param("uri: {exact: /a}", "uri: {exact: /b}", id="another path"),
        pytest.param("uri: {exact: /a}", "uri: {prefix: /a}", id="a prefix of one path"),
        pytest.param("uri: {regex: a}", "uri: {regex: a}", id="two expressions"),
        pytest.param("uri: {prefix: /a}", "uri: {regex: /a.*}", id="an expression below a prefix"),
        pytest.param("headers: {x: {exact: a}}", "headers: {x: {exact: b}}", id="another value of a header"),
        pytest.param("port: 80", "port: 81", id="another port"),
        pytest.param("ignoreUriCase: true", "uri: {prefix: /}", id="another idea of case"),
        pytest.param("sourceNamespace: a", "sourceNamespace: b", id="another namespace"),
        pytest.param("sourceLabels: {a: b}", "sourceLabels: {a: c}", id="other labels"),
        pytest.param("gateways: [g]", "gateways: [g, h]", id="more gateways"),
    ],
)
def test_a_match_outside_the_roots_drops_the_rule_and_is_said(root, delegate):
    status = "directResponse: {status: 204}"
    rule = f"[{{match: [{{{delegate}}}], {status}}}, {{name: kept, {status}}}]"
    world = delegating(f"match: [{{{root}}}]", rule)
    assert [rule.route.name for rule in world.engine.ask(rules, ROOT)] == ["kept"]
    assert codes(world) == [("PP0421", Ref("VirtualService", "other", "d"))]


@pytest.mark.parametrize(
    ("delegate", "facts", "ref"),
    [
        pytest.param("[]", {"export_to": "[.]"}, ROOT, id="is not exported to the root"),
        pytest.param("[]", {"hosts": "[b.com]"}, ROOT, id="has hosts of its own"),
        pytest.param("[{delegate: {name: e}}]", {}, Ref("VirtualService", "other", "d"), id="delegates in turn"),
    ],
)
def test_a_delegate_is_no_use_that(delegate, facts, ref):
    world = delegating("name: r", delegate, **facts)
    assert world.engine.ask(rules, ROOT) == ()
    assert codes(world) == [("PP0421", ref)]


def test_a_missing_delegate_drops_its_rule_only_and_is_noticed_when_it_comes():
    http = "[{delegate: {name: d}}, {name: kept, directResponse: {status: 204}}]"
    world = World(written("root", http, hosts="[a.com]"))
    assert [rule.route.name for rule in world.engine.ask(rules, ROOT)] == ["kept"]
    assert codes(world) == [("PP0421", ROOT)]
    world.put(written("d", "[{name: came, match: [{port: 80}], directResponse: {status: 200}}]"))
    assert [rule.route.name for rule in world.engine.ask(rules, ROOT)] == ["came", "kept"]
    assert codes(world) == []


def test_only_matches_without_gateways_ask_for_the_client():
    match = "{sourceLabels: {b: c, a: b}, sourceNamespace: home}, {gateways: [mesh], sourceLabels: {a: b}}, {port: 80}"
    world = World(written("root", f"[{{match: [{match}]}}]", hosts="[a.com]"))
    want = SourceCondition(0, 0, (("a", "b"), ("b", "c")), "home")
    assert world.engine.ask(source_conditions, ROOT) == (want,)


def alias(name: str, target: str) -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec: {{type: ExternalName, externalName: {target}, ports: [{{port: 80}}]}}
"""


def test_aliases_of_aliases_are_aliases_and_circles_end():
    a, b, c = (f"{name}.default.svc.cluster.local" for name in "abc")
    world = World(alias("b", a), alias("c", b), alias("a", c))
    assert world.engine.ask(query(aliases), a) == (b, c)
