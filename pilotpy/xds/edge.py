"""Holds the streams: admits clients, seats them at the compiler, and knows who is connected.

From a `Compiler` and any number of transports to proxies that hold what was compiled for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from pilotpy.compile.encoded import Tree
from pilotpy.ops.instruments import Instruments
from pilotpy.ops.logs import fields
from pilotpy.ops.settings import Settings
from pilotpy.xds.admission import Gate, check_type, node_in, request_in
from pilotpy.xds.batch import Batches
from pilotpy.xds.connection import Asked, Connection, Shared, proxy_name
from pilotpy.xds.identity import Reviewing, Unreviewed, Vouching, identity_of
from pilotpy.xds.publication import Compiler, Node, Unacceptable
from pilotpy.xds.resource_type import HEALTH_URL
from pilotpy.xds.session import Session
from pilotpy.xds.transport import Code, Refusal, Stream
from pilotpy.xds.watch import Rejection
from pilotpy_ca.authenticators import Caller

_LOG: Final = logging.getLogger("pilotpy.ads")
_LONGEST_VERSION: Final = 64


class Edge:
    """The streams of one process."""

    def __init__(self, compiler: Compiler, settings: Settings, instruments: Instruments) -> None:
        self.connections: dict[str, Connection] = {}  # by connection id
        # Set by who knows: on streams that show credentials, nobody is served before they are.
        self.vouching: Vouching | None = None
        self.reviewing: Reviewing = Unreviewed()
        self.inspected: Callable[[Node, Asked], Awaitable[bytes | None]] = _nothing_to_see
        self.trusted: Callable[[str, Tree], None] = lambda holder, roots: None  # noqa: ARG005 - as it is called
        self._compiler = compiler
        self._gate = Gate(settings.streams_per_second, instruments.clock)
        self._metrics = instruments.metrics
        self._batches = Batches()
        self._count = 0
        self._versions: Counter[str] = Counter()
        self._closed = False
        self._empty = asyncio.Event()
        self._shared = Shared(
            instruments,
            settings.answer_patience,
            asyncio.Semaphore(settings.large_pushes),
            self._rejected,
            self._trusted,
            lambda node, request: self.inspected(node, request),  # noqa: PLW0108 - it is set later
            self._reviewed,
        )

    @property
    def ready(self) -> bool:
        """Whether clients are admitted."""
        return self._compiler.ready and not self._closed

    def push_all(self) -> int:
        """Send every client all that it watches once more; returns how many there are."""
        for connection in self.connections.values():
            connection.push_all()
        return len(self.connections)

    def hang_up_on(self, names: Collection[str]) -> None:
        """End the streams of callers that have proved to go by one of these names (SPIFFE IDs)."""
        for connection in self.connections.values():
            if connection.caller is not None and not set(names).isdisjoint(connection.caller.identities):
                connection.end(Refusal(Code.UNAUTHENTICATED, "authentication failure"))

    async def close(self) -> None:
        """Admit nobody any more, and hang up on all: they go on with what they hold, and try elsewhere."""
        self._closed = True
        for connection in self.connections.values():
            connection.end(Refusal(Code.UNAVAILABLE, "shutting down, try another instance"))
        if self.connections:
            self._empty.clear()
            await self._empty.wait()

    async def serve(self, stream: Stream) -> None:
        """Serve one stream to its end. Raises `Refusal`."""
        if not self.ready:
            raise Refusal(Code.UNAVAILABLE, "not ready to serve, try again later")
        await self._gate.enter()
        caller = await self._caller(stream)
        request = None
        while request is None or request.type_url == HEALTH_URL:
            message = await stream.read()
            if message is None:
                return
            request = request_in(message, incremental=stream.incremental)
        node = node_in(request)
        if caller is not None:
            node = self._identified(node, caller)
        check_type(request.type_url, node.identity)
        self._count += 1
        id_ = f"{proxy_name(node.id)}-{self._count}"
        session = Session(self._batches, incremental=stream.incremental)
        connection = Connection(id_, node, stream, session, self._shared)
        connection.caller = caller
        try:
            connection.seat = self._compiler.connect(id_, node, connection.published)
        except Unacceptable as wrong:
            raise Refusal(Code.INVALID_ARGUMENT, str(wrong)) from None
        self.connections[id_] = connection
        version = str(node.metadata.get("ISTIO_VERSION", "unknown"))[:_LONGEST_VERSION]
        self._count_version(version, 1)
        _LOG.info("connected", extra=fields(connection=id_, peer=stream.peer, node=node.id))
        try:
            await connection.run(request)
        except Refusal as refusal:
            level = logging.INFO if refusal.code is Code.UNAVAILABLE else logging.WARNING
            _LOG.log(level, "refused", extra=fields(connection=id_, code=refusal.code.value, reason=refusal.message))
            raise
        except ConnectionError:
            pass  # hung up while we wrote; the client will be back
        except Exception as ours:
            self._metrics.errors.add()
            _LOG.exception("stream failed", extra=fields(connection=id_))
            raise Refusal(Code.INTERNAL, "internal error, see the control plane's log") from ours
        finally:
            del self.connections[id_]
            if not self.connections:
                self._empty.set()
            connection.seat.leave()
            connection.hung_up()
            self.reviewing.left(id_)
            self._count_version(version, -1)
            _LOG.info("disconnected", extra=fields(connection=id_))

    async def _caller(self, stream: Stream) -> Caller | None:
        """Who opened a stream; None on a port where nobody is asked. Raises `Refusal`."""
        if stream.credentials is None:
            return None
        if self.vouching is None:
            raise Refusal(Code.UNAVAILABLE, "not ready to serve, try again later")
        try:
            return await self.vouching.caller(stream.credentials)
        except Refusal:
            self._metrics.refused_callers.add("authentication")
            raise

    def _identified(self, node: Node, caller: Caller) -> Node:
        """The node, with what its client proved to be. Raises `Refusal`."""
        assert self.vouching is not None, "it said who the caller is"
        self.vouching.check(caller)  # it may have taken its time to say what it wants
        try:
            return node._replace(identity=identity_of(caller, node))
        except Refusal:
            self._metrics.refused_callers.add("identity")
            raise

    def _trusted(self, connection: Connection, roots: Tree) -> None:
        """Pass on which roots a proxy has taken, if it has proved which one it is: it may call itself as it likes."""
        if connection.caller is not None and connection.caller.holder:
            self.trusted(connection.caller.holder, roots)

    async def _reviewed(self, connection: Connection) -> None:
        """Wait until it is known whether a client may have secrets, where somebody finds that out."""
        identity = connection.node.identity
        if identity is not None:
            await self.reviewing.reviewed(connection.id, identity)

    def _count_version(self, version: str, by: int) -> None:
        self._versions[version] += by
        if self._versions[version]:
            self._metrics.clients.labels(version).set(self._versions[version])
        else:  # anybody may invent versions: the metric has those that are connected
            del self._versions[version]
            self._metrics.clients.remove(version)

    def _rejected(self, connection: Connection, rejection: Rejection) -> None:
        self._metrics.rejects.add(rejection.type.short)
        _LOG.error(
            "rejected",
            extra=fields(
                connection=connection.id,
                type=rejection.type.short,
                resources=rejection.names[:10],
                more=max(0, len(rejection.names) - 10),
                reason=rejection.message,
            ),
        )


async def _nothing_to_see(node: Node, request: Asked) -> bytes | None:  # noqa: ARG001 - as it is called
    raise Refusal(Code.UNAVAILABLE, "there is nothing to inspect here")
