"""Several sources as one: an object that two of them have is as the first of them says.

Nothing is told before all have told what they hold. Objects of other revisions, and of namespaces that are not to be
discovered, are left out. Services that several clusters have are one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from pilotpy.model.resource import Finding
from pilotpy.sources.change import Change
from pilotpy.sources.layers import Layers
from pilotpy.sources.namespaces import Namespaces
from pilotpy.sources.shared_services import SharedServices


class Source(Protocol):
    """Where objects come from."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with what it says now."""

    def watch(self) -> AsyncIterator[list[Change]]:
        """All that there is, then what changes, for ever; a batch may be empty: then findings changed."""


class Followed(NamedTuple):
    """How it stands with a cluster that is followed."""

    cluster: str
    secret: str  # NAMESPACE/NAME of what logs in to it; "": the cluster that names the others
    state: str  # synced, syncing, timeout, closed


Clusters = Callable[[], Sequence[Followed]]


class Joined:
    """What some sources say together, the first of them the strongest. No I/O."""

    def __init__(self, revision: str = "") -> None:
        """`revision`: of the control plane that they are for."""
        self._layers: Layers[int] = Layers()
        self._namespaces = Namespaces(revision)
        self._services = SharedServices()

    def taken(self, layer: int, changes: Iterable[Change]) -> list[Change]:
        """Take in what one of them says. Returns what it changes of what counts."""
        return self._services.merged(self._namespaces.counting(self._layers.uppermost(layer, changes)))


class Together:
    """A source of sources, the first of them the strongest."""

    def __init__(self, sources: Sequence[Source], revision: str = "", clusters: Clusters | None = None) -> None:
        self.clusters = clusters  # those that are followed; None: it is not about clusters
        self._sources = sources
        self._joined = Joined(revision)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with what they say now."""
        return tuple(finding for source in self._sources for finding in source.findings)

    async def watch(self) -> AsyncIterator[list[Change]]:
        """All that counts, once every source has told what it holds; then what changes."""
        told: asyncio.Queue[tuple[int, list[Change]]] = asyncio.Queue()
        tasks = [
            asyncio.create_task(_listened(source, layer, told), name=f"source {layer}")
            for layer, source in enumerate(self._sources)
        ]
        failed = asyncio.gather(*tasks)
        try:
            silent = set(range(len(self._sources)))
            first: list[Change] = []
            while silent:
                layer, changes = await _next(told, failed)
                first += self._joined.taken(layer, changes)
                silent.discard(layer)
            yield first
            while True:
                yield self._joined.taken(*await _next(told, failed))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(failed, *tasks, return_exceptions=True)


async def _listened(source: Source, layer: int, told: asyncio.Queue[tuple[int, list[Change]]]) -> None:
    async for changes in source.watch():
        await told.put((layer, changes))


async def _next(
    told: asyncio.Queue[tuple[int, list[Change]]], failed: asyncio.Future[list[None]]
) -> tuple[int, list[Change]]:
    """What a source tells next; raises what ended one of them."""
    telling = asyncio.create_task(told.get())
    both: tuple[asyncio.Future[Any], ...] = (telling, failed)
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if telling.done():
        return telling.result()
    telling.cancel()
    failed.result()
    raise RuntimeError("a source has ended, and sources never do")
