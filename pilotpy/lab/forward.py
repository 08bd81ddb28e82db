"""From a port of the machine to a Service of the lab, so that a browser outside reaches it.

The socket was opened before the lab had a network of its own, and so still belongs to the machine's.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

_CHUNK = 1 << 16
_PATIENCE = 5.0  # seconds that a pod may take to accept


class Target(NamedTuple):
    """Where a connection goes."""

    address: str
    port: int


class Forward:
    """One port of the machine. ``target`` says where the next connection goes, None if nowhere."""

    def __init__(self, listening: socket.socket, target: Callable[[], Target | None]) -> None:
        self._listening = listening
        self._target = target
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to accept."""
        self._server = await asyncio.start_server(self._accepted, sock=self._listening)

    def stop(self) -> None:
        """Accept no more."""
        if self._server is not None:
            self._server.close()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target = self._target()
            if target is None:
                return
            there = await asyncio.wait_for(asyncio.open_connection(*target), _PATIENCE)
            async with asyncio.TaskGroup() as both:
                both.create_task(pump(reader, there[1]))
                both.create_task(pump(there[0], writer))
        except (OSError, TimeoutError):
            pass  # the client sees a closed connection, as it would from the pod itself
        finally:
            writer.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on everything from one side to the other, the end included."""
    with suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    with suppress(OSError):
        writer.write_eof()
