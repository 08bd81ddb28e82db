"""Steady requests to one service of a lab, and who answered them."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from pilotpy.lab.forward import Target

_KEPT = 100_000
_PATIENCE = 10.0  # seconds for an answer
FAILED = "failed"
"""What a request counts as that got no answer, or another than 200."""


class Sample(NamedTuple):
    """One request."""

    begun: float  # time.monotonic()
    answered_by: str


class Traffic:
    """Requests one after the other in a few lines, each line on one connection."""

    def __init__(self, target: Callable[[], Target | None], path: str, answered_by: Callable[[bytes], str]) -> None:
        self._target = target
        self._path = path
        self._answered_by = answered_by
        self._samples = deque[Sample](maxlen=_KEPT)
        self._more = asyncio.Event()
        self.pause = 0.01  # seconds between two requests of a line

    async def run(self, lines: int = 2) -> None:
        """Send until cancelled."""
        await asyncio.gather(*(self._line() for _ in range(lines)))

    def counts(self, since: float) -> Counter[str]:
        """How many requests were answered by whom, of those that began since then."""
        counted = Counter[str]()
        for sample in reversed(self._samples):
            if sample.begun >= since:
                counted[sample.answered_by] += 1
        return counted

    async def counted(self, number: int, since: float) -> Counter[str]:
        """Wait for so many requests since then, and count them."""
        while (counts := self.counts(since)).total() < number:
            self._more.clear()
            await self._more.wait()
        return counts

    async def answered(self, by: str) -> None:
        """Wait for an answer by somebody."""
        while not self.counts(0.0)[by]:
            self._more.clear()
            await self._more.wait()

    async def _line(self) -> None:
        connection: http.client.HTTPConnection | None = None
        try:
            while True:
                begun = time.monotonic()
                target = self._target()
                if target is None:
                    answered_by = FAILED
                else:
                    if connection is None or (connection.host, connection.port) != target:
                        connection = http.client.HTTPConnection(*target, timeout=_PATIENCE)
                    answered_by = await asyncio.to_thread(self._ask, connection)
                self._samples.append(Sample(begun, answered_by))
                self._more.set()
                await asyncio.sleep(self.pause)
        finally:
            if connection is not None:
                connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> str:
        try:
            connection.request("GET", self._path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == http.client.OK:
                with suppress(ValueError, KeyError):
                    return self._answered_by(body)
        except (OSError, http.client.HTTPException):
            connection.close()  # it opens anew by itself
        return FAILED
