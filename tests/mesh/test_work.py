"""One edit costs the same at any size: work is counted, not timed."""

from functools import cache

import pytest

from pilotpy.engine import Work
from pilotpy.mesh.endpoints import endpoints
from pilotpy.mesh.service import ServiceKey
from pilotpy.mesh.services import service
from tests.mesh.world import World, endpoint_slice, entry, key, kube_service, pod, routes, rule

SIZES = (1_000, 10_000)
NAMESPACES = 10


@cache
def mesh(size: int, clients: int) -> World:
    world = World()
    world.put(
        *(kube_service(f"ns{index % NAMESPACES}", f"s{index}") for index in range(size)),
        *(endpoint_slice(f"ns{index % NAMESPACES}", f"s{index}", "10.1.0.1", "10.1.0.2") for index in range(size)),
        routes("ns1", "v", "s1"),
        rule("ns1", "r", "s1"),
        entry("ns1", "e", "e.com"),
    )
    _ask(world, clients)
    return world


def _ask(world: World, clients: int) -> None:
    for number in range(clients):
        world.services(world.scope(f"client{number}"))
    for name in ("s1", "s2", "s3"):
        found = ServiceKey(f"ns{name[1:]}", key(f"ns{name[1:]}", name).host)
        world.engine.ask(service, found)
        world.engine.ask(endpoints, found, "http")


def work(size: int, clients: int, edit, undo) -> Work:
    """Return the work of one edit, which is undone afterwards."""
    world = mesh(size, clients)
    before = world.engine.work.copy()
    world.put(edit)
    _ask(world, clients)
    done = world.engine.work.since(before)
    world.drop(*edit.ref) if undo is None else world.put(undo)
    _ask(world, clients)
    return done


EDITS = [
    pytest.param(
        endpoint_slice("ns1", "s1", "10.1.0.3"),
        endpoint_slice("ns1", "s1", "10.1.0.1", "10.1.0.2"),
        1,
        id="an endpoint",
    ),
    pytest.param(pod("ns1", "p", "10.1.0.1", app="s1"), None, None, id="a pod"),
    pytest.param(kube_service("ns1", "s1", port=81), kube_service("ns1", "s1"), 6, id="a port of a service"),
    pytest.param(routes("ns1", "v", "s1", to="s2"), routes("ns1", "v", "s1"), 3, id="where routes lead"),
    pytest.param(routes("ns2", "w", "s2"), None, 16, id="a new virtual service"),
    pytest.param(rule("ns2", "w", "s2"), None, 6, id="a new destination rule"),
    pytest.param(entry("ns2", "w", "w.com"), None, None, id="a new service entry"),
]


@pytest.mark.parametrize(("edit", "undo", "runs"), EDITS)
def test_an_edit_costs_the_same_among_ten_times_as_many_services(edit, undo, runs):
    small, large = (work(size, 1, edit, undo) for size in SIZES)
    assert small == large
    assert runs is None or small.runs <= runs


@pytest.mark.parametrize(("edit", "undo", "runs"), EDITS)
def test_an_edit_costs_other_namespaces_at_most_their_own_joins(edit, undo, runs):
    alone, many = work(1_000, 1, edit, undo), work(1_000, 100, edit, undo)
    assert many.runs - alone.runs <= 3 * 99  # own view, scope and view of each


def test_what_one_namespace_keeps_to_itself_is_no_matter_to_others():
    hidden = (
        kube_service("client1", "own", export_to="."),
        routes("client1", "own", "s1.ns1.svc.cluster.local", export_to=(".",)),
        rule("client1", "own", "s1.ns1.svc.cluster.local", export_to=(".",)),
    )
    for edit in hidden:
        few, many = work(1_000, 2, edit, None), work(1_000, 100, edit, None)
        assert few.runs == many.runs, edit.ref


def test_further_views_cost_no_services():
    world = mesh(1_000, 1)
    before = world.engine.work.copy()
    world.services(world.scope("another"))
    assert world.engine.work.since(before).runs < 16
