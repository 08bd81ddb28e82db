"""A control plane that follows its sources: changes into the compiler, proxies served, until the context ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import NamedTuple

from pilotpy.authority.endings import ending_findings
from pilotpy.authority.keeping import Keeping, MeshAuthority
from pilotpy.compile.collections import BY_NAME, COLLECTIONS
from pilotpy.engine import Engine, Put
from pilotpy.mesh.clusters import HOME_CLUSTER
from pilotpy.mesh.inputs import puts
from pilotpy.mesh.views import view
from pilotpy.model.resource import Finding
from pilotpy.ops.endless import endless
from pilotpy.ops.instruments import Instruments, instruments
from pilotpy.ops.logs import fields
from pilotpy.ops.settings import Settings
from pilotpy.sources.change import Change
from pilotpy.sources.together import Source, Together
from pilotpy.tell import Teller, telling
from pilotpy.xds.compiler import Answers, LocalCompiler
from pilotpy.xds.host_keeper import keeping_hosts
from pilotpy.xds.jwks import Door, networks
from pilotpy.xds.key_keeper import keeping_keys
from pilotpy.xds.server import Server, serving

_LOG = logging.getLogger("pilotpy.follow")
_BETWEEN = 60.0  # seconds between two looks at how long the mesh's keys last
_ENDPOINTS = frozenset({"EndpointSlice", "Endpoints", "Pod"})  # Pods: an endpoint says too little without its own


@contextlib.asynccontextmanager
async def following(
    source: Source,
    settings: Settings,
    keys: Keeping | None = None,
    watched_with: Instruments | None = None,
    hear: Callable[[frozenset[Finding]], None] = lambda _: None,
) -> AsyncIterator[Server]:
    """A server that is ready: everything that the source said first has been compiled.

    With ``keys``, proxies get certificates of it and may prove who they are. ``hear`` is called with all that is wrong,
    whenever that may have changed. Raises ``OSError``, ``CaError``.
    """
    for name in settings.unread:
        _LOG.warning("a variable of istiod's says nothing here", extra=fields(variable=name))
    async with contextlib.AsyncExitStack() as inside:
        answers = Answers(view, COLLECTIONS, BY_NAME)
        engine = Engine()
        engine.apply([Put(HOME_CLUSTER, ("",), settings.cluster_id)])
        watched_with = watched_with or instruments()
        clusters = source.clusters if isinstance(source, Together) else None
        server = await inside.enter_async_context(serving(engine, answers, settings, watched_with, clusters))
        changes = source.watch()
        first = await anext(changes)
        submit(server.compiler, first)
        teller = Teller(server.instruments.metrics, hear)
        server.pages.wrong = teller.now
        teller.tell("source", source.findings)
        authority = None
        if keys is not None:
            await server.compiler.caught_up()
            authority = await inside.enter_async_context(keys.keeping(server))
            authority.follow(first)
        door = Door(networks(settings.blocked_key_networks))
        await inside.enter_async_context(keeping_keys(server.compiler, door, server.instruments.metrics))
        await inside.enter_async_context(keeping_hosts(server.compiler))
        await server.open(authority.identified if authority is not None else None)
        work: dict[str, Callable[[], Awaitable[None]]] = {
            "sources": _Followed(source, changes, server.compiler, authority, teller).run,
            "findings": partial(telling, server.compiler, teller),
        }
        if authority is not None:
            work["ends of keys"] = partial(_watch_keys, authority, teller)
        tasks = [asyncio.create_task(endless(name, one), name=name) for name, one in work.items()]
        try:
            yield server
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await server.close()


def submit(compiler: LocalCompiler, changes: list[Change]) -> None:
    """Hand changes to the compiler; where workloads are goes by the faster lane.

    A kind has one lane: by two, something older could come in after something newer of the same name.
    """
    faster = [change for change in changes if change.ref.kind in _ENDPOINTS]
    others = [change for change in changes if change.ref.kind not in _ENDPOINTS]
    for lane, endpoints in ((others, False), (faster, True)):
        if lane:
            compiler.submit(puts(lane), [str(change.ref) for change in lane], endpoints=endpoints)


class _Followed(NamedTuple):
    """Takes what a source says to those who want it."""

    source: Source
    changes: AsyncIterator[list[Change]]  # those after the first; once they have ended, the source is asked anew
    compiler: LocalCompiler
    authority: MeshAuthority | None
    teller: Teller

    async def run(self) -> None:
        """Follow the source, for ever; raises what ends it, and may be run again."""
        for changes in (self.changes, self.source.watch()):
            async for batch in changes:
                self._take(batch)

    def _take(self, batch: list[Change]) -> None:
        """Pass a batch on. What we stumble over is told, and costs nothing else that is in the batch."""
        try:
            submit(self.compiler, batch)
            if self.authority is not None:
                self.authority.follow(batch)
            self.teller.tell("source", self.source.findings)
        except Exception as unforeseen:  # noqa: BLE001 - whatever it is, the rest goes on
            _LOG.critical("changes not taken whole", exc_info=unforeseen, extra=fields(changes=len(batch)))
            for change in batch if len(batch) > 1 else ():
                self._take([change])


async def _watch_keys(authority: MeshAuthority, teller: Teller) -> None:
    clock = authority.server.instruments.clock
    while True:
        teller.tell("authority", ending_findings(authority.keeper, clock.now()))
        await asyncio.sleep(_BETWEEN)
