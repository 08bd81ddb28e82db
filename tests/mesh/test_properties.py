"""Whatever the order in which objects arrive, and whatever came and went before: the end state decides."""

from hypothesis import given
from hypothesis import strategies as st

from tests.mesh.world import World, entry, kube_service, routes, rule, sidecar

NAMESPACES = ("a", "b", "istio-system")
HOSTS = ("s.a.svc.cluster.local", "s", "x.com", "*.a.svc.cluster.local", "*.com", "*")
EXPORTS = ((), ("*",), (".",), ("a",), ("a", "b"))

names = st.sampled_from(("n", "m"))
namespaces = st.sampled_from(NAMESPACES)
ages = st.integers(0, 2)
exports = st.sampled_from(EXPORTS)

objects = st.one_of(
    st.builds(kube_service, namespaces, st.sampled_from(("s", "t")), export_to=st.sampled_from(("", ".", "a", "~"))),
    st.builds(entry, namespaces, names, st.sampled_from(("x.com", "y.com", "s.a.svc.cluster.local")), age=ages),
    st.builds(rule, namespaces, names, st.sampled_from(HOSTS), age=ages, export_to=exports),
    st.builds(routes, namespaces, names, st.sampled_from(HOSTS), age=ages, export_to=exports),
    st.builds(sidecar, namespaces, names, st.sampled_from(("*/*", "./*", "a/*", "b/x.com", "*/*.com"))),
)
worlds = st.lists(objects, max_size=12, unique_by=lambda one: one.ref)


def seen(world):
    return {namespace: (scope := world.scope(namespace), world.services(scope)) for namespace in NAMESPACES}


@given(written=worlds, data=st.data())
def test_the_order_of_input_is_no_matter(written, data):
    shuffled = data.draw(st.permutations(written))
    assert seen(World(*written)) == seen(World(*shuffled))


@given(before=worlds, after=worlds)
def test_what_was_there_before_is_no_matter(before, after):
    world = World(*before)
    seen(world)
    for gone in {one.ref for one in before} - {one.ref for one in after}:
        world.drop(*gone)
        seen(world)
    for one in after:
        world.put(one)
        seen(world)
    assert seen(world) == seen(World(*after))


@given(written=worlds)
def test_a_scope_has_each_host_once_and_finds_what_it_has(written):
    world = World(*written)
    for scope, services in seen(world).values():
        hosts = [selected.service.host for selected in services]
        assert len(hosts) == len(set(hosts))
        assert all(world.found(scope, selected.service.host) == selected for selected in services)
        assert list(scope.parts) == sorted(scope.parts, key=lambda part: part.namespace)


@given(written=worlds)
def test_nobody_reaches_what_is_not_exported_to_them(written):
    world = World(*written)
    for namespace, (_, services) in seen(world).items():
        for selected in services:
            exported = world.exports(selected.service)
            assert "*" in exported or namespace in exported
