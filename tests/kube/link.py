"""A wire between a client and the API server that can be cut, or held still: what passes through is not looked at."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Link:
    """Passes connections on to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._moving = asyncio.Event()
        self._moving.set()
        self._whole = True
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def cut(self) -> None:
        """Break all connections, and let no new one through."""
        self._whole = False
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        self._whole = True

    def hold(self) -> None:
        """Let nothing through, and break nothing."""
        self._moving.clear()

    def release(self) -> None:
        self._moving.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            if not self._whole:
                return
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
            self._open.add(back)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pass(reader, back))
                    group.create_task(self._pass(there, writer))
            finally:
                self._open.discard(back)
                back.transport.abort()
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            return
        finally:
            self._open.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            await self._moving.wait()
            writer.write(chunk)
            await writer.drain()
        raise ConnectionError("one side has ended")

    async def close(self) -> None:
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def linked(port: int) -> AsyncIterator[Link]:
    link = Link(port)
    server = await asyncio.start_server(link.serve, "127.0.0.1", 0)
    link.port = server.sockets[0].getsockname()[1]
    try:
        yield link
    finally:
        server.close()
        with contextlib.suppress(asyncio.CancelledError):
            await link.close()
