"""Answers a pod's questions for names, over UDP and TCP: the mesh's names itself, all others from the name servers.

What one question costs is bounded in time, and how many are under way in number.

Source  istio/istio ``pkg/dns/client``; RFC 7766 (TCP).
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from typing import Any, Final

import msgspec

from pilotpy.agent.dns_answer import Elsewhere, answer, failure, is_answer_to
from pilotpy.agent.name_book import NameBook, name_book
from pilotpy.agent.network import PodNetwork
from pilotpy.ops.logs import fields
from pilotpy_protos.istio.networking.nds.v1.nds_pb2 import NameTable

_LOG: Final = logging.getLogger("pilotpy.dns")
_PATIENCE: Final = timedelta(seconds=5)  # with all name servers together
_IDLE: Final = timedelta(seconds=30)  # that a client may keep a TCP connection without asking
_AT_ONCE: Final = 1024
_LONGEST: Final = 65535


class Resolver(msgspec.Struct, frozen=True, kw_only=True):
    """How the pod's resolver is set up: what /etc/resolv.conf says, and where the agent listens."""

    namespace: str
    search: str = ""  # the first domain of its list
    servers: tuple[str, ...] = ()  # addresses, in order; port 53 unless "ADDRESS@PORT" says otherwise
    host: str = "127.0.0.1"
    port: int = 15053


class DnsProxy:
    """The DNS side of one pod's agent."""

    def __init__(self, resolver: Resolver, network: PodNetwork) -> None:
        self.book: NameBook | None = None  # None before the first table
        self.asked = self.forwarded = self.failed = 0
        self._resolver = resolver
        self._network = network
        self._under_way = set[asyncio.Task[None]]()

    def take(self, table: NameTable) -> None:
        """Answer from another table from now on."""
        self.book = name_book(table, self._resolver.namespace, self._resolver.search)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[tuple[int, int]]:
        """Answer as long as the context lasts; gives the ports of UDP and TCP. Raises OSError."""
        at = (self._resolver.host, self._resolver.port)
        loop = asyncio.get_running_loop()
        datagrams, listener = self._network.datagrams(*at), None
        try:
            listener = self._network.listener(*at)
            transport, _ = await loop.create_datagram_endpoint(lambda: _Questions(self), sock=datagrams)
            server = await asyncio.start_server(self._serve, sock=listener)
        except BaseException:
            for made in filter(None, (datagrams, listener)):
                made.close()
            raise
        try:
            yield datagrams.getsockname()[1], listener.getsockname()[1]
        finally:
            transport.close()
            server.close()
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def reply(self, question: bytes, *, udp: bool) -> bytes | None:
        """The answer to one question; None if it is none."""
        self.asked += 1
        own = answer(question, self.book, udp=udp)
        if own is Elsewhere.FORWARD:
            own = await self._forwarded(question, udp=udp)
        return own if isinstance(own, bytes) else None

    async def _forwarded(self, question: bytes, *, udp: bool) -> bytes | Elsewhere:
        """The first answer of a name server; that there is none if none comes in time."""
        self.forwarded += 1
        servers = self._resolver.servers
        for server in servers:
            host, _, port = server.partition("@")
            ask = self._asked_over_udp if udp else self._asked_over_tcp
            try:
                async with asyncio.timeout(_PATIENCE.total_seconds() / len(servers)):
                    return await ask(question, host, int(port or 53))
            except (OSError, asyncio.IncompleteReadError) as failed:  # TimeoutError is an OSError
                _LOG.debug("name server", extra=fields(server=server, reason=repr(failed)))
        self.failed += 1
        return failure(question)

    async def _asked_over_udp(self, question: bytes, host: str, port: int) -> bytes:
        loop = asyncio.get_running_loop()
        with closing(await self._network.connected(host, port, udp=True)) as server:
            await loop.sock_sendall(server, question)
            while not is_answer_to(reply := await loop.sock_recv(server, _LONGEST), question):
                continue
            return reply

    async def _asked_over_tcp(self, question: bytes, host: str, port: int) -> bytes:
        reader, writer = await asyncio.open_connection(sock=await self._network.connected(host, port))
        with closing(writer):
            writer.write(_framed(question))
            while not is_answer_to(reply := await _frame(reader), question):
                continue
            return reply

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._under_way) >= _AT_ONCE:
            writer.close()
            return
        self._under_way.add(task)
        try:
            while True:
                async with asyncio.timeout(_IDLE.total_seconds()):
                    question = await _frame(reader)
                reply = await self.reply(question, udp=False)
                if reply is None:
                    return
                async with asyncio.timeout(_IDLE.total_seconds()):
                    writer.write(_framed(reply))
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client is done, or gone
        finally:
            self._under_way.discard(task)
            writer.close()

    def come(self, question: bytes, sender: Any, transport: asyncio.DatagramTransport) -> None:
        """Answer a datagram, unless too many wait already: their clients will ask again."""
        if len(self._under_way) < _AT_ONCE:
            task = asyncio.create_task(self._answer(question, sender, transport))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _answer(self, question: bytes, sender: Any, transport: asyncio.DatagramTransport) -> None:
        reply = await self.reply(question, udp=True)
        if reply is not None and not transport.is_closing():
            transport.sendto(reply, sender)


class _Questions(asyncio.DatagramProtocol):
    """Hands datagrams on."""

    def __init__(self, proxy: DnsProxy) -> None:
        self._proxy = proxy

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._proxy.come(data, addr, self._transport)

    def error_received(self, exc: Exception) -> None:
        _LOG.debug("datagram not delivered", extra=fields(reason=str(exc)))


def _framed(message: bytes) -> bytes:
    return struct.pack("!H", len(message)) + message


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack("!H", await reader.readexactly(2))
    return await reader.readexactly(size)
