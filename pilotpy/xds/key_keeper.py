"""Keeps the keys of token issuers fresh: what a query wants is fetched, and the outcome written back as an input.

Keys that were fetched once stay, whatever fails later. Source: istio/istio pilot/pkg/model/jwks_resolver.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
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
from pilotpy.xds.keeper import Keeper, keeping

_LOG: Final = logging.getLogger("pilotpy.jwks")
_AT_ONCE: Final = 16  # fetches


class Rhythm(NamedTuple):
    """How often keys are fetched."""

    fresh: timedelta = timedelta(minutes=20)
    retry: timedelta = timedelta(minutes=1)  # after a failure, then twice as long, and so on
    longest: timedelta = timedelta(minutes=60)


Fetch = Callable[[KeySource], Awaitable[str]]
Write = Callable[[list[Put], list[str]], None]


class KeyKeeper(Keeper[KeySource]):
    """Fetches what is wanted, for as long as it is."""

    def __init__(self, fetch: Fetch, write: Write, metrics: Metrics, rhythm: Rhythm | None = None) -> None:
        super().__init__()
        self._fetch = fetch
        self._write = write
        self._metrics = metrics
        self._rhythm = rhythm or Rhythm()
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def _keep(self, source: KeySource, tried: asyncio.Event) -> None:
        known, pause = KeySet(), self._rhythm.retry
        while True:
            async with self._gate:
                outcome = await self._outcome(source, known)
            if outcome != known:
                self._put(source, outcome)
                known = outcome
            tried.set()
            if outcome.failure:
                await asyncio.sleep(pause.total_seconds())
                pause = min(pause * 2, self._rhythm.longest)
            else:
                await asyncio.sleep(self._rhythm.fresh.total_seconds())
                pause = self._rhythm.retry

    def _forget(self, source: KeySource) -> None:
        self._put(source, None)

    def _put(self, source: KeySource, keys: KeySet | None) -> None:
        self._write([Put(KEY_SETS, (source,), keys)], [f"keys of {source}"])

    async def _outcome(self, source: KeySource, known: KeySet) -> KeySet:
        try:
            text = await self._fetch(source)
        except Refused as why:
            self._metrics.key_failures.add()
            _LOG.warning("keys were not fetched", extra=fields(source=str(source), reason=str(why)))
            return known._replace(failure=str(why))
        self._metrics.key_fetches.add()
        return KeySet(text)


def keeping_keys(compiler: LocalCompiler, door: Door, metrics: Metrics) -> contextlib.AbstractAsyncContextManager[None]:
    """Keep the keys that the compiler's answers want."""

    async def fetch(source: KeySource) -> str:
        return await fetched(source, door)

    return keeping(compiler, wanted_keys, KeyKeeper(fetch, compiler.submit, metrics))
