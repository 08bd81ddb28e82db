"""What an agent asks of its Envoy's admin port.

Source  Envoy ``operations/admin``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import quote

from pilotpy.agent.http_client import Question, asked
from pilotpy.agent.network import PodNetwork

_PATIENCE = timedelta(seconds=5)
_LARGEST = 256 << 20  # statistics of a large mesh


class EnvoyAdmin:
    """The admin port of the Envoy in one pod. All methods raise OSError where nobody answers, or not as expected."""

    def __init__(self, network: PodNetwork, host: str = "127.0.0.1", port: int = 15000) -> None:
        self._network = network
        self._host = host
        self._port = port

    async def page(self, path: str) -> bytes:
        """The answer to a GET."""
        return await self._asked("GET", path)

    async def post(self, path: str) -> bytes:
        """The answer to a POST, which makes Envoy do something."""
        return await self._asked("POST", path)

    async def counts(self, pattern: str) -> Mapping[str, int]:
        """Statistics whose names match, by name."""
        text = (await self.page(f"/stats?filter={quote(pattern)}")).decode("latin-1")
        pairs = (line.rpartition(": ") for line in text.splitlines())
        return {name: int(value) for name, _, value in pairs if value.isdigit()}

    async def _asked(self, method: str, path: str) -> bytes:
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            answer = await asked(Question(self._host, self._port, path, method), self._network, at_most=_LARGEST)
        if answer.status != HTTPStatus.OK:
            raise OSError(f"Envoy's admin port: {answer.status} for {path}")
        return answer.body
