"""A control plane's network side: its compiler, its gRPC port and its two HTTP ports, started and stopped together.

Ports open as istiod's do: HTTP first, so that somebody can ask whether it is ready; gRPC once it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette

from pilotpy.engine import Engine
from pilotpy.ops.instruments import Instruments
from pilotpy.ops.settings import Settings
from pilotpy.xds.compiler import Answers, LocalCompiler
from pilotpy.xds.debug import applications
from pilotpy.xds.edge import Edge
from pilotpy.xds.grpc_transport import GrpcTransport, Limits


@dataclass
class Server:
    """A control plane that runs; `opened` once its sources have been read."""

    compiler: LocalCompiler
    edge: Edge
    instruments: Instruments
    settings: Settings
    transport: GrpcTransport
    http_address: str
    monitoring_address: str
    address: str = ""  # of ADS, once open

    async def open(self) -> str:
        """Serve proxies from now on: what the sources had to say has been submitted. Returns the address of ADS.

        Raises `OSError` if the address is taken.
        """
        await self.compiler.caught_up()
        self.compiler.ready = True
        self.address = await self.transport.start(self.edge.serve)
        return self.address


@contextlib.asynccontextmanager
async def serving(
    engine: Engine, answers: Answers, settings: Settings, instruments: Instruments
) -> AsyncIterator[Server]:
    """A server that compiles and answers over HTTP, and stops all of it at the end. Call `Server.open` inside.

    Raises `OSError` if an address is taken.
    """
    compiler = LocalCompiler(engine, answers, settings, instruments)
    edge = Edge(compiler, settings, instruments)
    transport = GrpcTransport(_any_host(settings.grpc_address), Limits(connection_age=settings.connection_age))
    http, monitoring = applications(edge, instruments)
    compiling = asyncio.create_task(compiler.run(), name="compiler")
    async with (
        _listening(http, settings.http_address) as http_address,
        _listening(monitoring, settings.monitoring_address) as monitoring_address,
    ):
        try:
            yield Server(compiler, edge, instruments, settings, transport, http_address, monitoring_address)
        finally:
            await edge.close()
            await transport.stop(settings.shutdown)
            compiling.cancel()
            await asyncio.gather(compiling, return_exceptions=True)


class _Uvicorn(uvicorn.Server):
    """Leaves signals to the process that it runs in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@contextlib.asynccontextmanager
async def _listening(application: Starlette, address: str) -> AsyncIterator[str]:
    """Answer HTTP on an address, as long as the context lasts; gives the address, its port filled in."""
    if not address:
        yield ""
        return
    listener = _listener(address)
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=90,
        timeout_graceful_shutdown=1,
    )
    server = _Uvicorn(config)
    running = asyncio.create_task(server.serve([listener]), name=f"http {address}")
    try:
        yield f"{address.rpartition(':')[0]}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await asyncio.gather(running, return_exceptions=True)
        listener.close()


def _listener(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host and socket.has_dualstack_ipv6():
        return socket.create_server(("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def _any_host(address: str) -> str:
    return f"[::]{address}" if address.startswith(":") else address
