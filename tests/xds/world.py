"""A small world for the edges: resources written down by hand as inputs, queries that collect them.

What the compiler is to the real queries, it is to these; nothing is mocked.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

from pilotpy.compile.collection import Collection
from pilotpy.compile.encoded import Encoded, Tree
from pilotpy.engine import Engine, Index, Kind, Put, query
from pilotpy.mesh.kinds import PROXIES
from pilotpy.mesh.view import Features, Inbound, Listening, Place, Scope, View
from pilotpy.ops.instruments import instruments
from pilotpy.ops.settings import Settings
from pilotpy.xds.compiler import Answers, LocalCompiler
from pilotpy.xds.edge import Edge
from pilotpy.xds.grpc_transport import GrpcTransport
from pilotpy.xds.resource_type import CLUSTER, ENDPOINT, LISTENER, ROUTE, ResourceType

THING = Kind("Thing")  # key (type URL, name), value Encoded
BY_TYPE = Index(THING, lambda thing: (thing[0],))
FAST = Settings(
    debounce_after=timedelta(milliseconds=10),
    endpoint_window=timedelta(milliseconds=10),
    answer_patience=timedelta(milliseconds=300),
    streams_per_second=0,
)


@query
def things(q, url, namespace):  # the facet is there to tell views apart
    return Tree(thing[1] for thing in q.by(BY_TYPE, url))


@query
def endpoint_things(q, url, namespace):  # as above
    return Tree(thing[1] for thing in q.by(BY_TYPE, url))


@query
def view(q, connection):
    proxy = q.get(PROXIES, connection)
    namespace = proxy.namespace if proxy else ""
    return View(Scope(namespace, ()), Inbound(namespace, ()), Place(), Features(), Listening())


def _collection(type_: ResourceType) -> Collection:
    return Collection(endpoint_things if type_ is ENDPOINT else things, lambda view: (type_.url, view.scope.namespace))


COLLECTIONS = {type_.url: _collection(type_) for type_ in (CLUSTER, ENDPOINT, LISTENER, ROUTE)}


def resource(name: str, content: str = "") -> Encoded:
    """A resource whose bytes parse as any of Envoy's types: its name in field 1, then an unknown field."""
    raw, more = name.encode(), content.encode()
    body = b"\x0a" + bytes((len(raw),)) + raw
    return Encoded(name, body + (b"\x82\x7d" + bytes((len(more),)) + more if more else b""))


def put(type_: ResourceType, name: str, content: str | None = "") -> Put:
    """Write a resource; None takes it away."""
    value = None if content is None else (type_.url, resource(name, content))
    return Put(THING, (type_.url, name), value)


class World:
    """A running edge over a compiler."""

    def __init__(self, settings: Settings = FAST, answers: Answers | None = None) -> None:
        self.engine = Engine()
        self.instruments = instruments()
        self.compiler = LocalCompiler(self.engine, answers or Answers(view, COLLECTIONS), settings, self.instruments)
        self.edge = Edge(self.compiler, settings, self.instruments)
        self.address = ""

    def change(self, *puts: Put, endpoints: bool = False) -> None:
        self.compiler.submit(puts, [str(p.key[-1]) for p in puts], endpoints=endpoints)


@asynccontextmanager
async def running(world: World | None = None):
    world = world or World()
    transport = GrpcTransport("127.0.0.1:0")
    world.compiler.ready = True
    world.address = await transport.start(world.edge.serve)
    compiling = asyncio.create_task(world.compiler.run())
    try:
        yield world
    finally:
        await world.edge.close()
        await transport.stop(timedelta(0))
        compiling.cancel()
        await asyncio.gather(compiling, return_exceptions=True)
