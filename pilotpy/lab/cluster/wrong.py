"""What a lab's control plane finds wrong with the objects of a cluster, as its page `/debug/findings` tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import msgspec

from pilotpy.agent.http_client import Question, asked
from pilotpy.agent.network import PodNetwork
from pilotpy.lab.cluster.api_server import HOST
from pilotpy.model.resource import Finding

_PAGE: Final = Question(HOST, 8080, "/debug/findings")
_LARGEST: Final = 16 << 20  # bytes
_BETWEEN: Final = timedelta(milliseconds=500)  # two looks: no page says when it changes
_findings = msgspec.json.Decoder(tuple[Finding, ...])


class Wrong:
    """The findings of the control plane, those that two looks agree on: what a start has in passing is no news.

    While it is away, its last words hold.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.findings: tuple[Finding, ...] = ()  # sorted by object

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        before = self.findings
        while True:
            found = await self._told()
            if found == before != self.findings:
                self.findings = found
                self._changed()
            before = found
            await asyncio.sleep(_BETWEEN.total_seconds())

    async def _told(self) -> tuple[Finding, ...]:
        try:
            async with asyncio.timeout(_BETWEEN.total_seconds()):
                answer = await asked(_PAGE, PodNetwork(), at_most=_LARGEST)
        except (OSError, TimeoutError):
            return self.findings
        return _findings.decode(answer.body) if answer.is_good else self.findings
