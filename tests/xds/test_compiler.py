"""The compiler between inputs and edges: what wakes whom, what is compiled how often, and what goes before what."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from pilotpy.compile.collection import Collection
from pilotpy.compile.encoded import Tree
from pilotpy.engine import Index, Kind, Put, query
from pilotpy.mesh.kinds import PROXIES
from pilotpy.mesh.view import Features, Inbound, Listening, Place, Scope, View
from pilotpy.xds.compiler import Answers
from pilotpy.xds.publication import Node, Unacceptable
from pilotpy.xds.resource_type import CLUSTER, ENDPOINT, LISTENER
from tests.asynchronous import asynchronous
from tests.waiting import until
from tests.xds.client import node_id
from tests.xds.world import FAST, World, put


class Client:
    """A seat, and what was published to it."""

    def __init__(self, world: World, name: str, namespace: str = "default") -> None:
        self.news = asyncio.Event()
        self.published = []
        self.seat = world.compiler.connect(name, Node(node_id(name, namespace), {}), self._wake)

    def _wake(self) -> None:
        self.published.append(self.seat.publication)
        self.news.set()

    async def next(self) -> dict[str, set[str]]:
        """What it is given, once that is new."""
        async with asyncio.timeout(5):
            await self.news.wait()
        self.news.clear()
        return {url: {r.name for r in tree} for url, tree in self.seat.publication.trees.items()}


@asynccontextmanager
async def compiling(world: World | None = None):
    world = world or World()
    task = asyncio.create_task(world.compiler.run())
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynchronous
async def test_only_types_that_are_wanted_are_compiled():
    async with compiling() as world:
        world.change(put(CLUSTER, "a"), put(LISTENER, "l"))
        await world.compiler.caught_up()
        client = Client(world, "one")
        client.seat.want(CLUSTER.url)
        assert await client.next() == {CLUSTER.url: {"a"}}


@asynchronous
async def test_proxies_with_equal_views_share_one_answer():
    async with compiling() as world:
        one, other = Client(world, "one"), Client(world, "other")
        for client in (one, other):
            client.seat.want(CLUSTER.url)
            await client.next()
        before = world.engine.work.copy()
        world.change(put(CLUSTER, "a"))
        await one.next()
        await other.next()
        assert world.engine.work.since(before).runs == 1
        assert one.seat.publication.trees[CLUSTER.url] is other.seat.publication.trees[CLUSTER.url]


@asynchronous
async def test_who_is_not_concerned_is_not_woken():
    async with compiling() as world:
        one, other = Client(world, "one"), Client(world, "other")
        one.seat.want(CLUSTER.url)
        other.seat.want(LISTENER.url)
        await one.next()
        await other.next()
        world.change(put(CLUSTER, "a"))
        await one.next()
        assert not other.news.is_set()


@asynchronous
async def test_a_change_and_its_undoing_in_one_batch_wake_nobody():
    async with compiling() as world:
        one, other = Client(world, "one"), Client(world, "other")
        one.seat.want(CLUSTER.url)
        other.seat.want(LISTENER.url)
        await one.next()
        await other.next()
        world.change(put(CLUSTER, "a"), put(CLUSTER, "a", None), put(LISTENER, "l"))
        await other.next()
        assert not one.news.is_set()
        assert len(world.instruments.timeline.records()) == 1


@asynchronous
async def test_a_malformed_node_gets_no_seat():
    with pytest.raises(Unacceptable, match="not of the form"):
        World().compiler.connect("one", Node("nobody", {}), lambda: None)


@asynchronous
async def test_who_leaves_is_forgotten():
    async with compiling() as world:
        client = Client(world, "one")
        client.seat.want(CLUSTER.url)
        await client.next()
        client.seat.leave()
        world.change(put(CLUSTER, "a"))
        await world.compiler.caught_up()
        assert len(client.published) == 1
        assert not list(world.engine.objects(PROXIES))


PLACE = Kind("Namespace of everybody")
PLACES = Index(PLACE, lambda _: ("",))


@query
def moving_view(q, connection):  # all proxies stand in one place, which moves
    namespace = q.get(PLACE, "") or "first"
    return View(Scope(namespace, ()), Inbound("", ()), Place(), Features(), Listening())


@query
def named_for_its_namespace(q, namespace):  # reads nothing
    return Tree([put(CLUSTER, namespace).value[1]])


@asynchronous
async def test_a_proxy_whose_view_changes_is_given_the_answers_of_the_new_one():
    collections = {CLUSTER.url: Collection(named_for_its_namespace, lambda view: (view.scope.namespace,))}
    async with compiling(World(answers=Answers(moving_view, collections))) as world:
        client = Client(world, "one")
        client.seat.want(CLUSTER.url)
        assert await client.next() == {CLUSTER.url: {"first"}}
        world.change(Put(PLACE, ("",), "second"))
        assert await client.next() == {CLUSTER.url: {"second"}}
        assert len(world.compiler._users) == 2, "the old view's answer is still held"


@asynchronous
async def test_endpoints_do_not_wait_for_a_quiet_configuration():
    slow = FAST._replace(debounce_after=timedelta(hours=1), debounce_max=timedelta(hours=1))
    async with compiling(World(slow)) as world:
        client = Client(world, "one")
        client.seat.want(ENDPOINT.url)
        await client.next()
        world.change(put(CLUSTER, "waits"))
        world.change(put(ENDPOINT, "a"), endpoints=True)
        assert await client.next() == {ENDPOINT.url: {"a"}}


@query
def slow(q, url, namespace):  # the facet is there to tell views apart
    return Tree(q(slow_part, thing) for thing in range(50))


@query
def slow_part(q, number):
    thing = q.get(SLOW, number)
    spent = sum(range(150_000)) if thing else 0  # some milliseconds of work, fifty times
    UNDER_WAY.extend([number] if thing else ())
    return put(CLUSTER, f"{number}", str(spent)).value[1]


SLOW = Kind("Slow")
UNDER_WAY = []  # the parts that were asked for while they are slow


@asynchronous
async def test_endpoints_overtake_a_long_compile():
    world = World()
    collections = world.compiler._collections | {CLUSTER.url: Collection(slow, lambda _: (CLUSTER.url, ""))}
    async with compiling(World(answers=Answers(world.compiler._view, collections))) as world:
        client = Client(world, "one")
        for type_ in (ENDPOINT, CLUSTER):
            client.seat.want(type_.url)
            await client.next()
        before = client.seat.publication.trees[CLUSTER.url]
        world.change(*(Put(SLOW, (number,), "work") for number in range(50)))
        await until(lambda: UNDER_WAY)
        world.change(put(ENDPOINT, "a"), endpoints=True)
        assert (await client.next())[ENDPOINT.url] == {"a"}
        assert client.seat.publication.trees[CLUSTER.url] is before, "the compile is not over"
        await client.next()
        assert client.seat.publication.trees[CLUSTER.url] != before


@query
def failing(q, url, namespace):  # as above
    found = q.by(BAD_ONES, "")
    if found:
        raise ValueError(found[0])
    return Tree([put(CLUSTER, "good").value[1]])


BAD = Kind("Bad")
BAD_ONES = Index(BAD, lambda _: ("",))


@asynchronous
async def test_an_answer_that_fails_leaves_the_last_good_one_and_the_others():
    world = World()
    collections = world.compiler._collections | {CLUSTER.url: Collection(failing, lambda _: (CLUSTER.url, ""))}
    async with compiling(World(answers=Answers(world.compiler._view, collections))) as world:
        client = Client(world, "one")
        for type_ in (CLUSTER, LISTENER):
            client.seat.want(type_.url)
            await client.next()
        world.change(Put(BAD, ("x",), "broken"), put(LISTENER, "l"))
        assert await client.next() == {CLUSTER.url: {"good"}, LISTENER.url: {"l"}}
        assert world.instruments.metrics.errors[""] == 1


@query(otherwise=lambda _: put(CLUSTER, "stand-in").value[1])
def fragile(q, name):
    if q.by(BAD_ONES, ""):
        raise ValueError("too hot")
    return put(CLUSTER, name).value[1]


@query
def of_fragile_ones(q, url, namespace):  # as above
    return Tree([q(fragile, "leaf")])


@asynchronous
async def test_a_leaf_that_fails_is_served_as_its_stand_in_and_said_once(caplog):
    world = World()
    collections = world.compiler._collections | {CLUSTER.url: Collection(of_fragile_ones, lambda _: (CLUSTER.url, ""))}
    async with compiling(World(answers=Answers(world.compiler._view, collections))) as world:
        client = Client(world, "one")
        client.seat.want(CLUSTER.url)
        assert await client.next() == {CLUSTER.url: {"leaf"}}
        world.change(Put(BAD, ("x",), "broken"))
        assert await client.next() == {CLUSTER.url: {"stand-in"}}
        assert world.instruments.metrics.errors[""] == 1
        assert [one.getMessage() for one in caplog.records] == ["a stand-in is served: ValueError: too hot"]
