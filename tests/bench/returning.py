"""Simulated sidecars that come back: ``python -m tests.bench.returning HOST:PORT COUNT``.

Prints a line once all hold everything, and one, with the moment of the last response (on the clock that all processes
share), once all have come back to a control plane that went away. They come all at once, as soon as it listens, and
say what they hold; who is turned away tries again after as long as Envoys wait first.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from random import Random

import grpc.aio

from tests.xds.client import Sidecar, node_id

_QUIET = 0.5  # seconds without a response after which all have what they need
_PAUSE = 0.5  # seconds at most before the second try: Envoy's first back-off, of which it takes a random part


class Returning:
    """Sidecars, and when the last of them was told something."""

    def __init__(self, address: str, count: int) -> None:
        """``address``: of the control plane."""
        self._address = address
        self._random = Random(1)
        self._listening: asyncio.Task[None] | None = None
        nodes = (node_id(f"back-{n}", "default", f"10.9.{n // 250}.{n % 250 + 1}") for n in range(count))
        self._sidecars = [Sidecar(address, node) for node in nodes]

    async def run(self) -> None:
        """Follow until the control plane goes away, and the next one; print a line when nothing more comes."""
        async with asyncio.TaskGroup() as tasks:
            lives = [tasks.create_task(self._live(n)) for n in range(len(self._sidecars))]
            first = frozenset(self._sidecars)
            _say(await self._settled(frozenset()))
            _say(await self._settled(first))
            for life in lives:
                life.cancel()

    async def _live(self, n: int) -> None:
        while True:
            one = self._sidecars[n]
            with suppress(grpc.aio.AioRpcError, AssertionError):
                await one.follow()
            await one.close()
            await (self._heard() if one.responses else asyncio.sleep(self._random.uniform(0, _PAUSE)))
            self._sidecars[n] = again = Sidecar(self._address, one.node)
            again.held = one.held

    async def _heard(self) -> None:
        """Wait until somebody listens: one asks for all."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._asked())
        await asyncio.shield(self._listening)

    async def _asked(self) -> None:
        host, _, port = self._address.rpartition(":")
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                return
            await asyncio.sleep(0.01)

    async def _settled(self, gone: Set[Sidecar]) -> float:
        """The moment of the last response, once all had one, no longer as ``gone``, and there are no more; to 20 ms."""
        before, last = -1, 0.0
        while True:
            here = [one for one in self._sidecars if one not in gone]
            now = sum(one.responses for one in here)
            if now != before:
                before, last = now, time.monotonic()
            elif time.monotonic() - last > _QUIET and len(here) == len(self._sidecars) and all(_told(here)):
                return last
            await asyncio.sleep(0.02)


def _told(sidecars: Iterable[Sidecar]) -> Iterator[bool]:
    return (one.responses > 0 for one in sidecars)


def _say(last: float) -> None:
    sys.stdout.write(json.dumps({"last": last}) + "\n")
    sys.stdout.flush()


async def main(address: str, count: int) -> None:
    """Two lives."""
    await Returning(address, count).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
