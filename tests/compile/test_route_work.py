"""How much is done again for one edit: counted, and the same whatever the size of the mesh."""

from __future__ import annotations

import pytest

from pilotpy.compile.encoded import differences
from pilotpy.compile.routes import routes
from pilotpy.engine import Engine, Put
from pilotpy.mesh.kinds import DESTINATION_RULES, SERVICES, VIRTUAL_SERVICES
from pilotpy.mesh.view import Listening, Scope
from pilotpy.model.destination_rule import DestinationRule
from pilotpy.model.resource import Meta, Ref, Resource
from pilotpy.model.virtual_service import Destination, HTTPRoute, HTTPRouteDestination, VirtualService
from tests.compile.crowd import crowd, endpoint_slice, everything

PLAIN = Listening()


def split(weight: int) -> Put:
    to = tuple(
        HTTPRouteDestination(destination=Destination(host="s0", subset=subset), weight=share)
        for subset, share in (("v1", weight), ("v2", 100 - weight))
    )
    ref = Ref("VirtualService", "n0", "s0")
    spec = VirtualService(hosts=("s0",), http=(HTTPRoute(route=to),))
    return Put(VIRTUAL_SERVICES, ("n0", "s0"), Resource(ref, Meta(name="s0", namespace="n0"), spec))


def rule() -> Put:
    ref = Ref("DestinationRule", "n0", "s0")
    return Put(DESTINATION_RULES, ("n0", "s0"), Resource(ref, Meta(name="s0"), DestinationRule(host="s0")))


def relabelled(engine: Engine) -> Put:
    (old,) = [value for key, value in engine.objects(SERVICES) if key == ("n0", "s0")]
    return Put(SERVICES, ("n0", "s0"), Resource(old.ref, Meta(name="s0", namespace="n0", labels={"a": "b"}), old.spec))


def views(count: int) -> list[Scope]:
    return [everything()._replace(namespace=f"n{number}") for number in range(count)]


def work(engine: Engine, put: Put, seen: list[Scope]) -> tuple[int, int, int]:
    """Apply an edit; return what it made the routes of some views do: runs, equal outcomes, tables changed."""
    old = [engine.ask(routes, scope, PLAIN) for scope in seen]
    before = engine.work.copy()
    engine.apply([put])
    new = [engine.ask(routes, scope, PLAIN) for scope in seen]
    done = engine.work.since(before)
    changed = sum(len(differences(a, b)[0]) for a, b in zip(old, new, strict=True))
    return done.runs, done.equal, changed


@pytest.fixture(scope="module", params=[1_000, 10_000])
def mesh(request: pytest.FixtureRequest) -> Engine:
    engine = crowd(request.param, 1)
    engine.apply([split(50)])
    return engine


def test_an_edited_weight_makes_one_host_and_the_joins_above_it_anew(mesh):
    # What it claims, its rules, what they ask of clients; its routes; the host as called at home and elsewhere, and the
    # join of each namespace above; the run of namespaces around it as each of three neighbours calls it; for each view
    # the table, its exit and the collection.
    mesh.apply([split(50)])
    runs, equal, changed = work(mesh, split(10), views(3))
    assert (runs, equal, changed) == (3 + 1 + 2 + 2 + 3 + 3 * 3, 2, 3)


def test_an_edited_weight_costs_a_further_view_its_own_top_only(mesh):
    mesh.apply([split(50)])
    few = work(mesh, split(20), views(3))
    mesh.apply([split(50)])
    many = work(mesh, split(30), views(13))
    assert many[0] - few[0] == 10 * 3 + 4, "and the run around, where four more of them live"
    assert many[2] == 13


def test_endpoints_are_nothing_to_routes(mesh):
    mesh.apply([split(50)])
    assert work(mesh, endpoint_slice(7, 3), views(3)) == (0, 0, 0)


def test_a_label_of_a_service_changes_no_table(mesh):
    mesh.apply([split(50)])
    runs, _, changed = work(mesh, relabelled(mesh), views(3))
    assert changed == 0
    assert runs < 30


def test_a_rule_that_says_nothing_about_hashing_changes_no_table(mesh):
    mesh.apply([split(50)])
    _, _, changed = work(mesh, rule(), views(3))
    assert changed == 0
