"""HTTP on a socket, for as long as it is wanted.

Signals stay with the process that runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.applications import Starlette


@contextlib.asynccontextmanager
async def answering(application: Starlette, listener: socket.socket) -> AsyncIterator[None]:
    """Answer HTTP on a listening socket, which is closed at the end."""
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        lifespan="off",
        proxy_headers=False,  # who asks is whose connection it is: some pages are for this machine alone
        timeout_keep_alive=90,
        timeout_graceful_shutdown=1,
    )
    server = _Uvicorn(config)
    running = asyncio.create_task(server.serve([listener]), name=f"http {listener.getsockname()}")
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(running, return_exceptions=True)
        listener.close()


class _Uvicorn(uvicorn.Server):
    """Leaves signals to the process that it runs in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
