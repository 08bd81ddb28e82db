"""Keeps the keys of token issuers fresh: what a query wants is fetched, and the outcome written back as an input.

Keys that were fetched once stay, whatever fails later. Source: istio/istio pilot/pkg/model/jwks_resolver.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Final, NamedTuple

from pilotpy.engine import Put
from pilotpy.mesh.kinds import KEY_SETS
from pilotpy.mesh.request_authentication import wanted_keys
from pilotpy.model.key_set import KeySet, KeySource
from pilotpy.ops.logs import fields
from pilotpy.ops.metrics import Metrics
from pilotpy.xds.compiler import LocalCompiler
from pilotpy.xds.jwks import Door, Refused, fetched

_LOG: Final = logging.getLogger("pilotpy.jwks")
_AT_ONCE: Final = 16  # fetches


class Rhythm(NamedTuple):
    """How often keys are fetched."""

    fresh: timedelta = timedelta(minutes=20)
    retry: timedelta = timedelta(minutes=1)  # after a failure, then twice as long, and so on
    longest: timedelta = timedelta(minutes=60)


_PATIENCE: Final = 10.0  # seconds that a start waits for keys

Fetch = Callable[[KeySource], Awaitable[str]]
Write = Callable[[list[Put], list[str]], None]


class KeyKeeper:
    """Fetches what is wanted, for as long as it is. Belongs to one event loop."""

    def __init__(self, fetch: Fetch, write: Write, metrics: Metrics, rhythm: Rhythm | None = None) -> None:
        self._fetch = fetch
        self._write = write
        self._metrics = metrics
        self._rhythm = rhythm or Rhythm()
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[KeySource, asyncio.Task[None]] = {}
        self._tried: dict[KeySource, asyncio.Event] = {}

    def want(self, sources: tuple[KeySource, ...]) -> None:
        """Keep these, and no others."""
        for source in self._tasks.keys() - set(sources):
            self._tasks.pop(source).cancel()
            del self._tried[source]
            self._write([Put(KEY_SETS, (source,), None)], [f"keys of {source}"])
        for source in sources:
            if source not in self._tasks:
                self._tried[source] = asyncio.Event()
                self._tasks[source] = asyncio.create_task(self._keep(source), name=f"keys of {source}")

    async def first_round(self) -> None:
        """Wait until everything wanted now has been tried once."""
        await asyncio.gather(*(event.wait() for event in self._tried.values()))

    async def close(self) -> None:
        """Fetch no more."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, source: KeySource) -> None:
        known, pause = KeySet(), self._rhythm.retry
        while True:
            async with self._gate:
                outcome = await self._outcome(source, known)
            if outcome != known:
                self._write([Put(KEY_SETS, (source,), outcome)], [f"keys of {source}"])
                known = outcome
            self._tried[source].set()
            if outcome.failure:
                await asyncio.sleep(pause.total_seconds())
                pause = min(pause * 2, self._rhythm.longest)
            else:
                await asyncio.sleep(self._rhythm.fresh.total_seconds())
                pause = self._rhythm.retry

    async def _outcome(self, source: KeySource, known: KeySet) -> KeySet:
        try:
            text = await self._fetch(source)
        except Refused as why:
            self._metrics.key_failures.add()
            _LOG.warning("keys were not fetched", extra=fields(source=str(source), reason=str(why)))
            return known._replace(failure=str(why))
        self._metrics.key_fetches.add()
        return KeySet(text)


@contextlib.asynccontextmanager
async def keeping_keys(compiler: LocalCompiler, door: Door, metrics: Metrics) -> AsyncIterator[None]:
    """Keep the keys that the compiler's answers want; at first, wait for them a while.

    A control plane that starts must not take keys from proxies which its predecessor gave them.
    """

    async def fetch(source: KeySource) -> str:
        return await fetched(source, door)

    await compiler.caught_up()
    keeper = KeyKeeper(fetch, compiler.submit, metrics)
    compiler.act_on(wanted_keys, keeper.want)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await keeper.first_round()
        yield
    finally:
        await keeper.close()
