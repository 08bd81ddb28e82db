"""What workloads insist on, by the PeerAuthentications of their mesh, namespace, labels and ports."""

import pytest

from pilotpy.mesh.mtls import auto_mutual, plaintext
from pilotpy.mesh.view import Mode
from tests.mesh.world import World, peer_authentication

ROOT = "istio-system"
CASES = {
    "without policies both are taken": ([], "PERMISSIVE", {}),
    "the mesh's policy holds everywhere": ([(ROOT, "m", "STRICT")], "STRICT", {}),
    "the namespace's comes before the mesh's": (
        [(ROOT, "m", "STRICT"), ("shop", "n", "DISABLE")],
        "DISABLE",
        {},
    ),
    "that of another namespace does not count": ([("other", "n", "STRICT")], "PERMISSIVE", {}),
    "the workload's comes before the namespace's": (
        [("shop", "n", "DISABLE"), ("shop", "w", "STRICT", {"app": "cart"})],
        "STRICT",
        {},
    ),
    "that of another workload does not count": ([("shop", "w", "STRICT", {"app": "till"})], "PERMISSIVE", {}),
    "the root namespace selects nobody": ([(ROOT, "w", "STRICT", {"app": "cart"})], "PERMISSIVE", {}),
    "of two for a namespace the older holds": (
        [("shop", "a", "DISABLE", {}, {}, 2), ("shop", "b", "STRICT", {}, {}, 1)],
        "STRICT",
        {},
    ),
    "of two for a workload the older holds": (
        [("shop", "a", "DISABLE", {"app": "cart"}, {}, 2), ("shop", "b", "STRICT", {"app": "cart"}, {}, 1)],
        "STRICT",
        {},
    ),
    "of two of one age that with the first name holds": (
        [("shop", "b", "DISABLE"), ("shop", "a", "STRICT")],
        "STRICT",
        {},
    ),
    "what a workload leaves unset is its namespace's": (
        [("shop", "n", "STRICT"), ("shop", "w", "UNSET", {"app": "cart"})],
        "STRICT",
        {},
    ),
    "what a namespace leaves unset is the mesh's": ([(ROOT, "m", "STRICT"), ("shop", "n", "UNSET")], "STRICT", {}),
    "what the mesh leaves unset is permissive": ([(ROOT, "m", "UNSET")], "PERMISSIVE", {}),
    "an older policy that leaves it unset still holds": (
        [(ROOT, "m", "STRICT"), ("shop", "a", "UNSET", {}, {}, 1), ("shop", "b", "DISABLE", {}, {}, 2)],
        "STRICT",
        {},
    ),
    "a port may have its own": (
        [("shop", "w", "STRICT", {"app": "cart"}, {8080: "DISABLE", 9090: "PERMISSIVE"})],
        "STRICT",
        {8080: "DISABLE", 9090: "PERMISSIVE"},
    ),
    "what a port leaves unset is its workload's": (
        [("shop", "w", "STRICT", {"app": "cart"}, {8080: "UNSET"})],
        "STRICT",
        {8080: "STRICT"},
    ),
}


def world_of(policies) -> World:
    return World(
        *(
            peer_authentication(
                namespace, name, mode, ports=dict(*more[1:2]), age=next(iter(more[2:]), 0), **dict(*more[:1])
            )
            for namespace, name, mode, *more in policies
        )
    )


@pytest.mark.parametrize(("policies", "mode", "ports"), CASES.values(), ids=CASES)
def test_modes(policies, mode, ports):
    modes = world_of(policies).view("cart-1.shop", LABELS={"app": "cart", "version": "v1"}).inbound.modes
    assert modes.mode is Mode[mode]
    assert {port: own.value for port, own in modes.ports} == ports
    assert modes.on(1) is Mode[mode]


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        pytest.param([], True, id="by default"),
        pytest.param([("shop", "n", "STRICT")], True, id="where they insist"),
        pytest.param([("shop", "n", "DISABLE")], False, id="not where a namespace takes plaintext"),
        pytest.param([(ROOT, "m", "DISABLE")], False, id="not where the mesh does"),
        pytest.param([("shop", "w", "DISABLE", {"app": "cart"})], True, id="whatever one of its workloads does"),
    ],
)
def test_services_are_spoken_to_in_mutual_tls_unasked(policies, expected):
    assert world_of(policies).engine.ask(auto_mutual, "shop") is expected


def test_a_mesh_may_do_without():
    world = World()
    world.settings(enable_auto_mtls=False)
    assert not world.engine.ask(auto_mutual, "shop")


def test_what_takes_plaintext_alone_is_the_same_until_something_does():
    world = world_of([("shop", "w", "STRICT", {"app": "cart"})])
    before = world.engine.ask(plaintext, "shop")
    world.put(peer_authentication("shop", "w", "PERMISSIVE", app="cart"))
    assert world.engine.ask(plaintext, "shop") == before
    world.put(peer_authentication("shop", "w", "PERMISSIVE", ports={8080: "DISABLE"}, app="cart"))
    assert world.engine.ask(plaintext, "shop") != before


def test_replicas_and_workloads_alike_share_what_comes_in():
    world = world_of([("shop", "w", "STRICT", {"app": "cart"}), ("shop", "x", "STRICT", {"app": "till"})])
    cart, till = (world.view(f"{app}-1.shop", LABELS={"app": app}).inbound for app in ("cart", "till"))
    assert cart == till
