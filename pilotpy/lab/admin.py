"""What an Envoy tells through its admin port, asked from outside its pod.

Source  Envoy ``operations/admin``.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
from datetime import timedelta

from pilotpy.lab.network import Network

ADMIN_PORT = 15000
_PATIENCE = timedelta(seconds=2)


class Admin:
    """The admin port of the Envoy in one pod. Raises OSError where nobody answers."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def get(self, path: str) -> str:
        """The answer to a GET. Raises OSError for any status but 200."""
        return await asyncio.to_thread(self._asked, "GET", path)

    async def post(self, path: str) -> str:
        """The answer to a POST. Raises OSError for any status but 200."""
        return await asyncio.to_thread(self._asked, "POST", path)

    async def counts(self, pattern: str) -> dict[str, int]:
        """Statistics whose names match ``pattern``, by name."""
        text = await self.get(f"/stats?filter={pattern}")
        pairs = (line.rpartition(": ") for line in text.splitlines())
        return {name: int(value) for name, _, value in pairs if value.isdigit()}

    async def is_ready(self) -> bool:
        """It serves a configuration that it was sent: being alive alone says nothing of that."""
        try:
            counts = await self.counts("update_success|workers_started")
        except OSError:
            return False
        wanted = ("cluster_manager.cds.update_success", "listener_manager.lds.update_success")
        return counts.get("listener_manager.workers_started", 0) > 0 and all(counts.get(name, 0) for name in wanted)

    def _asked(self, method: str, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", ADMIN_PORT)
        try:
            connection.sock = connected(self._network, ADMIN_PORT)
            connection.request(method, path)
            answer = connection.getresponse()
            text = answer.read().decode()
        except http.client.HTTPException as broken:
            raise OSError(f"no answer from Envoy's admin port: {broken}") from broken
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise OSError(f"Envoy's admin port: {answer.status} for {path}: {text.strip()}")
        return text


def connected(network: Network, port: int) -> socket.socket:
    """A connection to ``port`` on a pod's loopback, which no rule captures. Raises OSError."""
    with network.inside():
        made = socket.socket()
    try:
        made.settimeout(_PATIENCE.total_seconds())
        made.connect(("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    return made
