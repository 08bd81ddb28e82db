"""TLS with an optional client certificate, before a plaintext gRPC server that has no port of its own.

grpcio's Python API can require a client certificate or not ask for one, but callers come with a certificate or with a
token. So this end does the handshake and passes the bytes on through a Unix socket in a folder that only this user can
enter. Each inner connection is bound to a name of its own, by which the gRPC server sees its peer (`context.peer()`):
`peer` says whose connection that is, and None for any that did not come through here.

Source of the TLS settings: pilot/pkg/bootstrap/server.go of istio/istio.
"""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import contextlib
import errno
import logging
import os
import secrets
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final, NamedTuple

from pilotpy_ca.authenticators import Peer
from pilotpy_ca.authority import ServerIdentity
from pilotpy_ca.errors import Unauthenticated
from pilotpy_ca.log import fields
from pilotpy_ca.scratch import ScratchFolder

_LOG: Final = logging.getLogger("pilotpy_ca.front")
_BUFFERED: Final = 1 << 20  # bytes held for a slow end before the fast one has to wait
# Bytes read at once of what is to be encrypted. OpenSSL keeps a buffer as large as the largest piece for as long as the
# connection lives: with asyncio's 256 KiB a proxy took 570 KB of memory, with these 370, in the same time.
_READ: Final = 32 << 10
_TLS_1_2: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_OUT_OF_FILES: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

# asyncio sets 256 KiB aside for what each TLS connection may receive, and writes zeros into all of it. Proxies send
# acknowledgements; thousands of them are connected.
asyncio.sslproto.SSLProtocol.max_size = 32 << 10

# Called with the DER form of a leaf whose chain was verified. Raises `Unauthenticated` to end the connection.
Admission = Callable[[bytes], None]


class FrontLimits(NamedTuple):
    """What strangers may take."""

    connections: int = 20_000
    connections_per_address: int = 5_000  # further ones are closed; proxies of many pods may be behind one address
    handshakes: int = 512  # under way at once; further ones wait in the backlog
    handshakes_per_address: int = 64  # further ones are closed
    handshake: timedelta = timedelta(seconds=10)
    silence: timedelta = timedelta(seconds=10)  # after it, of who showed no certificate


class Front:
    """Accepts, shakes hands, passes on. Belongs to one event loop."""

    def __init__(self, admission: Admission, limits: FrontLimits | None = None) -> None:
        self._admission = admission
        self._limits = limits if limits is not None else FrontLimits()
        self._scratch = ScratchFolder("pilotpy-front-")
        self._folder = self._scratch.path
        self._context: ssl.SSLContext | None = None
        self._peers: dict[str, Peer] = {}  # by what gRPC calls them
        self._outer: dict[str, _End] = {}  # their connections, likewise
        self._shaking: Counter[str] = Counter()  # by address
        self._open: Counter[str] = Counter()  # those that shake hands among them
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self.refused = 0  # connections that ended before a byte was passed on

    @property
    def inner_address(self) -> str:
        """Where the gRPC server has to listen: the argument of its `add_insecure_port`."""
        return f"unix:{self._folder}/inner"

    def peer(self, inner: str) -> Peer | None:
        """Whose connection an inner one is, by what `context.peer()` calls it. None: not one of ours, refuse it."""
        return self._peers.get(inner)

    def present(self, identity: ServerIdentity, roots: Sequence[bytes]) -> None:
        """Show this certificate, and believe clients of these roots, on all connections from now on.

        Connections that are open stay. No session outlives a change: there are none.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_TLS_1_2)
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.num_tickets = 0  # a resumed session would not look at roots and revocations again
        context.set_alpn_protocols(["h2"])
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=b"".join(roots).decode())
        with _in_memory(identity.chain.certificates + identity.key.pem()) as path:
            context.load_cert_chain(path)
        self._context = context

    def review(self) -> None:
        """End the connections whose certificate would not be admitted any more."""
        for name, peer in tuple(self._peers.items()):
            if peer.certificate is None:
                continue
            try:
                self._admission(peer.certificate)
            except Unauthenticated as reason:
                _LOG.info("connection ended", extra=fields(peer=peer.address, reason=str(reason)))
                self._outer[name].abort()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._peers)

    async def start(self, address: str) -> str:
        """Listen on `host:port` (port 0 takes a free one; no host: all); the gRPC server has to run by now.

        Returns the address with its port. `present` must have been called. Raises `OSError` if it is taken.
        """
        assert self._context is not None, "there is no certificate to present"
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        if not host and socket.has_dualstack_ipv6():
            listener = socket.create_server(
                ("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=socket.SOMAXCONN
            )
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, int(port)), family=family, backlog=socket.SOMAXCONN)
        listener.setblocking(False)
        self._listener = listener
        self._accepting = asyncio.create_task(self._accept(listener), name="front")
        return f"{address.rpartition(':')[0]}:{listener.getsockname()[1]}"

    async def stop(self, grace: timedelta = timedelta(0)) -> None:
        """Accept no more, give open connections this long to end, then end them."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace.total_seconds())
        for task in (tasks := tuple(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._scratch.remove()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        handshakes = asyncio.Semaphore(self._limits.handshakes)
        while True:
            await asyncio.sleep(0)  # where many wait, neither of the next two gives anybody else a turn
            await handshakes.acquire()
            try:
                accepted, address = await loop.sock_accept(listener)
            except OSError as error:
                handshakes.release()
                if error.errno in _OUT_OF_FILES:
                    _LOG.warning("cannot accept connections", extra=fields(reason=error.strerror))
                    await asyncio.sleep(0.1)  # until somebody closes one: the kernel does not tell
                continue
            if len(self._tasks) >= self._limits.connections or self._crowded(address[0]):
                self._refuse(address[0], "too many connections")
                accepted.close()
                handshakes.release()
                continue
            self._shaking[address[0]] += 1  # from here on: many may be accepted before any of these tasks begins
            task = asyncio.create_task(self._serve(accepted, address, handshakes.release))
            self._tasks.add(task)
            self._open[address[0]] += 1
            task.add_done_callback(partial(self._ended, address[0]))

    def _crowded(self, host: str) -> bool:
        limits = self._limits
        return (
            self._shaking[host] >= limits.handshakes_per_address or self._open[host] >= limits.connections_per_address
        )

    def _ended(self, host: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._open[host] -= 1
        if not self._open[host]:
            del self._open[host]

    def _refuse(self, address: str, reason: str) -> None:
        self.refused += 1
        _LOG.info("connection refused", extra=fields(peer=address, reason=reason))

    async def _serve(self, accepted: socket.socket, address: Any, shaken: Callable[[], None]) -> None:
        """One connection, from its handshake to its end."""
        outer, inner = _End(), _End()
        outer.other, inner.other = inner, outer
        host, where = address[0], f"{address[0]}:{address[1]}"
        try:
            try:
                certificate = await self._shake_hands(accepted, outer)
            finally:
                shaken()
                self._shaking[host] -= 1
                if not self._shaking[host]:
                    del self._shaking[host]
            name = str(self._folder / secrets.token_hex(8))
            called = f"unix:{name}"
            self._peers[called], self._outer[called] = Peer(where, certificate), outer
            try:
                await self._connect(name, inner)
                outer.start()
                if certificate is None:
                    await self._spoken(outer)
                await outer.lost
            finally:
                inner.abort()
                # The name is free for others of this user only from here on.
                del self._peers[called], self._outer[called]
                with contextlib.suppress(OSError):
                    os.unlink(name)  # noqa: PTH108  # no file is touched, only a name in memory
        except Unauthenticated as reason:
            self._refuse(where, str(reason))
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            self._refuse(where, str(error) or "it took too long")
        finally:
            outer.abort()
            accepted.close()

    async def _spoken(self, outer: _End) -> None:
        """Wait for the first bytes, or the end. Raises `TimeoutError`: who knows us has something to say at once."""
        async with asyncio.timeout(self._limits.silence.total_seconds()):
            await asyncio.shield(outer.heard)

    async def _shake_hands(self, accepted: socket.socket, outer: _End) -> bytes | None:
        """Returns the DER of the leaf that the client showed, if any. Raises `OSError`, `Unauthenticated`."""
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
            lambda: outer,
            accepted,
            ssl=self._context,
            ssl_handshake_timeout=self._limits.handshake.total_seconds(),
            ssl_shutdown_timeout=1,
        )
        certificate: bytes | None = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if certificate is not None:
            self._admission(certificate)
        return certificate

    async def _connect(self, name: str, inner: _End) -> None:
        loop = asyncio.get_running_loop()
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            end.setblocking(False)
            end.bind(name)
            await loop.sock_connect(end, self.inner_address.removeprefix("unix:"))
            transport, _ = await loop.create_unix_connection(lambda: inner, sock=end)
            transport.max_size = _READ  # type: ignore[attr-defined]  # selector_events has it, the stubs do not
        except BaseException:
            end.close()
            raise
        inner.start()


class _End(asyncio.Protocol):
    """One end of a connection; what comes in here goes out at the other."""

    other: _End
    transport: asyncio.Transport | None = None
    heard: asyncio.Future[None]  # the first bytes have come, or none will
    lost: asyncio.Future[None]

    def __init__(self) -> None:
        self.heard, self.lost = (asyncio.get_running_loop().create_future() for _ in range(2))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "streams"
        self.transport = transport
        transport.set_write_buffer_limits(_BUFFERED)
        transport.pause_reading()  # until there is somewhere to put it

    def start(self) -> None:
        """The other end is there."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        assert self.other.transport is not None, "reading starts once both are there"
        _settle(self.heard)
        self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        self.other.start()

    def connection_lost(self, _error: Exception | None) -> None:
        _settle(self.heard)
        _settle(self.lost)
        if self.other.transport is not None:
            self.other.transport.close()  # after what is still to be written

    def abort(self) -> None:
        """End it now."""
        if self.transport is not None:
            self.transport.abort()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@contextlib.contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path under which `content` can be read for the moment, though it is on no disk: ssl loads keys from paths."""
    descriptor = os.memfd_create("pilotpy-front", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
