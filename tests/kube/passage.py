"""A way for a lab to an API server: its namespaces share no loopback with the machine, but they share its files.

`python -m tests.kube.passage SOCKET PORT` passes connections to a socket with a path on to a port of loopback, outside;
`inwards` is the other end, which listens on that port in the lab.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

_HOST = "127.0.0.1"

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def inwards(path: Path, port: int) -> asyncio.Server:
    """Listen on a port of loopback; what comes goes to a socket with a path."""
    return await asyncio.start_server(partial(_passed, lambda: asyncio.open_unix_connection(path)), _HOST, port)


async def outwards(path: Path, port: int) -> asyncio.Server:
    """Listen on a socket with a path; what comes goes to a port of loopback."""
    return await asyncio.start_unix_server(partial(_passed, lambda: asyncio.open_connection(_HOST, port)), path)


async def _passed(
    connect: Callable[[], Awaitable[Ends]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with suppress(OSError):
        there, back = await connect()
        await asyncio.gather(_copied(reader, back), _copied(there, writer))


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass  # the other side has heard of it, or is about to
    finally:
        writer.close()


async def _serve(path: Path, port: int) -> None:
    async with await outwards(path, port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
