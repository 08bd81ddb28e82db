"""Keeps what a query wants from outside: a task for each thing, for as long as it is wanted."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Hashable
from typing import Final, Generic, TypeVar

from pilotpy.engine import Query
from pilotpy.xds.compiler import LocalCompiler

_PATIENCE: Final = 10.0  # seconds that a start waits for what is wanted

_Thing = TypeVar("_Thing", bound=Hashable)


class Keeper(ABC, Generic[_Thing]):
    """Who fetches things and writes what came of it back as inputs. Belongs to one event loop."""

    def __init__(self) -> None:
        self._tasks: dict[_Thing, asyncio.Task[None]] = {}
        self._tried: dict[_Thing, asyncio.Event] = {}

    def want(self, things: tuple[_Thing, ...]) -> None:
        """Keep these, and no others."""
        for thing in self._tasks.keys() - set(things):
            self._tasks.pop(thing).cancel()
            del self._tried[thing]
            self._forget(thing)
        for thing in things:
            if thing not in self._tasks:
                self._tried[thing] = asyncio.Event()
                self._tasks[thing] = asyncio.create_task(self._keep(thing, self._tried[thing]), name=f"kept: {thing}")

    async def first_round(self) -> None:
        """Wait until everything wanted now has been tried once."""
        await asyncio.gather(*(event.wait() for event in self._tried.values()))

    async def close(self) -> None:
        """Keep nothing more."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    @abstractmethod
    async def _keep(self, thing: _Thing, tried: asyncio.Event) -> None:
        """Keep one, for ever; `tried` is to be set when the outcome of a first try is written."""

    @abstractmethod
    def _forget(self, thing: _Thing) -> None:
        """Take back what was written of one."""


@contextlib.asynccontextmanager
async def keeping(
    compiler: LocalCompiler, wanted: Query[[], tuple[_Thing, ...]], keeper: Keeper[_Thing]
) -> AsyncIterator[None]:
    """Let a keeper keep what the compiler's answers want; at first, wait for that a while.

    A control plane that starts must not take from proxies what its predecessor gave them.
    """
    await compiler.caught_up()
    compiler.act_on(wanted, keeper.want)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await keeper.first_round()
        yield
    finally:
        await keeper.close()
