"""A control plane's network side: its compiler, its gRPC ports and its two HTTP ports, started and stopped together.

Ports open as istiod's do: HTTP first, so that somebody can ask whether it is ready; gRPC once it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import grpc

from pilotpy.engine import Engine
from pilotpy.ops.http_server import answering
from pilotpy.ops.instruments import Instruments
from pilotpy.ops.settings import Settings
from pilotpy.xds.compiler import Answers, LocalCompiler
from pilotpy.xds.debug import applications
from pilotpy.xds.debug_mesh import MeshPages
from pilotpy.xds.debug_shapes import FollowedCluster
from pilotpy.xds.debug_types import DebugTypes
from pilotpy.xds.edge import Edge
from pilotpy.xds.grpc_transport import GrpcTransport, Limits
from pilotpy.xds.identity import Vouching
from pilotpy.xds.inspection import Inspection
from pilotpy.xds.secure_transport import SecureTransport
from pilotpy.xds.transport import Transport
from pilotpy_ca.front import Front


class Identified(NamedTuple):
    """What a port needs on which callers prove who they are."""

    front: Front  # with a certificate to present
    vouching: Vouching
    handlers: Sequence[grpc.GenericRpcHandler[Any, Any]] = ()  # of CreateCertificate


@dataclass
class Server:
    """A control plane that runs; `opened` once its sources have been read."""

    compiler: LocalCompiler
    edge: Edge
    instruments: Instruments
    settings: Settings
    pages: MeshPages
    http_address: str
    monitoring_address: str
    address: str = ""  # of ADS in plaintext, once open
    secure_address: str = ""  # of ADS and CreateCertificate over TLS, once open
    _transports: list[Transport] = field(default_factory=list)

    async def open(self, identified: Identified | None = None) -> str:
        """Serve proxies from now on: what the sources had to say has been submitted. Returns the plaintext address.

        Raises `OSError` if an address is taken.
        """
        await self.compiler.caught_up()
        self.compiler.ready = True
        limits = Limits(connection_age=self.settings.connection_age)
        if identified is not None and self.settings.secure_grpc_address:
            self.edge.vouching = identified.vouching
            address = self.settings.secure_grpc_address
            strange = partial(self.instruments.metrics.refused_callers.add, "front")
            secure = SecureTransport(address, identified.front, limits, strange, identified.handlers)
            self.secure_address = await self._start(secure)
        if self.settings.grpc_address:
            self.address = await self._start(GrpcTransport(_any_host(self.settings.grpc_address), limits))
        return self.address

    async def _start(self, transport: Transport) -> str:
        self._transports.append(transport)
        return await transport.start(self.edge.serve)

    async def close(self) -> None:
        """Hang up on all, and serve nobody any more. May be called again."""
        await self.edge.close()
        transports, self._transports = self._transports, []
        await asyncio.gather(*(transport.stop(self.settings.shutdown) for transport in transports))


@contextlib.asynccontextmanager
async def serving(
    engine: Engine,
    answers: Answers,
    settings: Settings,
    instruments: Instruments,
    clusters: Callable[[], Iterable[FollowedCluster]] | None = None,
) -> AsyncIterator[Server]:
    """A server that compiles and answers over HTTP, and stops all of it at the end. Call `Server.open` inside.

    `clusters` tells which are followed; None: it is not about clusters.
    Raises `OSError` if an address is taken.
    """
    compiler = LocalCompiler(engine, answers, settings, instruments)
    edge = Edge(compiler, settings, instruments)
    mesh = MeshPages(engine, compiler.held, clusters)
    inspection = Inspection(edge, instruments, engine, mesh, settings.debug_namespaces)
    edge.inspected = DebugTypes(inspection, settings.instance).response
    http, monitoring = applications(edge, instruments, inspection)
    compiling = asyncio.create_task(compiler.run(), name="compiler")
    async with contextlib.AsyncExitStack() as stack:
        addresses = []
        for application, address in ((http, settings.http_address), (monitoring, settings.monitoring_address)):
            listener = _listener(address) if address else None
            addresses.append(f"{address.rpartition(':')[0]}:{listener.getsockname()[1]}" if listener else "")
            if listener is not None:
                await stack.enter_async_context(answering(application, listener))
        server = Server(compiler, edge, instruments, settings, mesh, addresses[0], addresses[1])
        try:
            yield server
        finally:
            await server.close()
            compiling.cancel()
            await asyncio.gather(compiling, return_exceptions=True)


def _listener(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host and socket.has_dualstack_ipv6():
        return socket.create_server(("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def _any_host(address: str) -> str:
    return f"[::]{address}" if address.startswith(":") else address
