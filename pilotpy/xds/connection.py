"""One client at the edge: the task that reads it, the task that writes to it, and the session between them.

The only place where a session meets a stream and a clock. Reads and writes do not wait for each other, but a client
that does not read what it is sent is soon no longer read either.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pilotpy.compile.encoded import Tree
from pilotpy.ops.instruments import Instruments
from pilotpy.ops.timeline import Outcome
from pilotpy.xds import delta, sotw
from pilotpy.xds.admission import check_type, request_in
from pilotpy.xds.names import NO_NAMES, TooManyNames
from pilotpy.xds.publication import Node, Seat
from pilotpy.xds.resource_type import BY_URL, HEALTH_URL, PROXY_CONFIG, SECRET
from pilotpy.xds.session import Send, Session
from pilotpy.xds.transport import Code, Refusal, Stream
from pilotpy.xds.watch import Rejection
from pilotpy_ca.authenticators import Caller
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DiscoveryRequest

LARGE: Final = 256 << 10  # bytes; a response from here on waits for one of the few places for large ones
_LARGE_FOR: Final = 0.25  # seconds; who takes longer to read holds up nobody else
_REQUESTS_AHEAD: Final = 64  # read while the client leaves a response unread
_OWED: Final = 64  # publications whose end on this stream is still reported one by one


Asked = DiscoveryRequest | DeltaDiscoveryRequest


class Shared(NamedTuple):
    """What all connections of an edge have in common."""

    instruments: Instruments
    patience: timedelta  # that a type waits for the client's answer to the one before it
    large: asyncio.Semaphore
    rejected: Callable[[Connection, Rejection], None]
    trusted: Callable[[Connection, Tree], None]  # these are the roots that the client has taken
    inspected: Callable[[Node, Asked], Awaitable[bytes | None]]  # answers requests for types of `DEBUG_URL`
    reviewed: Callable[[Connection], Awaitable[None]]  # returns once it is known whether the client may have secrets


def proxy_name(node_id: str) -> str:
    """The proxy that a node id names: `web-7d9.default` in `sidecar~10.1.2.3~web-7d9.default~default.svc.local`."""
    parts = node_id.split("~")
    return parts[2] if len(parts) == 4 else node_id


class Connection:
    """A client's stream and its state."""

    def __init__(self, id_: str, node: Node, stream: Stream, session: Session, shared: Shared) -> None:
        self.id = id_
        self.node = node
        self.proxy = proxy_name(node.id)
        self.peer = stream.peer
        self.session = session
        self.since: datetime = shared.instruments.clock.now()
        self.sent_at: dict[str, datetime] = {}  # by type URL
        self.seat: Seat
        self.caller: Caller | None = None  # who it has proved to be
        self._stream = stream
        self._shared = shared
        self._clock, self._metrics, self._timeline = shared.instruments
        self._revision = 0  # the latest published to it
        self._owed: deque[int] = deque(maxlen=_OWED)
        self._questions: deque[Asked] = deque()
        self._refused = False
        self._unread = 0
        self._caught_up = asyncio.Event()
        self._woken: asyncio.Future[None] | None = None
        self._ending: asyncio.Future[Refusal] | None = None
        self._stirred = False
        self._lapse: asyncio.TimerHandle | None = None

    @property
    def namespace(self) -> str:
        """Where the proxy runs: what it has proved, else what it says."""
        if self.node.identity is not None:
            return self.node.identity.namespace
        said = self.node.metadata.get("NAMESPACE")
        return said if isinstance(said, str) else self.proxy.rpartition(".")[2]

    # -- what wakes it -------------------------------------------------------------------------

    def published(self) -> None:
        """The compiler has a new publication for this client."""
        publication = self.seat.publication
        self.session.changed(publication)
        if publication.revision > self._revision:
            self._revision = publication.revision
            self._owed.append(publication.revision)
        self._stir()

    def _stir(self) -> None:
        self._stirred = True
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def push_all(self) -> None:
        """Send the client all that it watches once more."""
        self.session.resend()
        self._stir()

    def end(self, refusal: Refusal) -> None:
        """Hang up on the client, and tell it why."""
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(refusal)

    # -- reading -------------------------------------------------------------------------------

    async def run(self, first: Asked) -> None:
        """Serve until the client hangs up. Raises `Refusal`, and `ConnectionError` if the stream broke."""
        ending: asyncio.Future[Refusal] = asyncio.get_running_loop().create_future()
        self._ending = ending
        writing = asyncio.create_task(self._write(), name=f"write {self.id}")
        reading = asyncio.create_task(self._read(first), name=f"read {self.id}")
        both = (reading, writing)
        try:
            done, _ = await asyncio.wait((*both, ending), return_when=asyncio.FIRST_COMPLETED)
            for task in done & {*both}:
                task.result()
            if ending.done():
                raise ending.result()
        finally:
            if self._lapse is not None:
                self._lapse.cancel()
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _read(self, first: Asked) -> None:
        await self._take(first)
        while (message := await self._stream.read()) is not None:
            await self._take(request_in(message, incremental=self._stream.incremental))
            self._unread += 1
            if self._unread > _REQUESTS_AHEAD:
                self._caught_up.clear()
                await self._caught_up.wait()

    async def _take(self, request: Asked) -> None:
        if request.type_url == SECRET.url:
            await self._shared.reviewed(self)
        self._receive(request)

    def _receive(self, request: Asked) -> None:
        url = request.type_url
        if url == HEALTH_URL:
            return
        check_type(url, self.node.identity)
        if url not in BY_URL:
            self._questions.append(request)
            self._stir()
            return
        try:
            if isinstance(request, DiscoveryRequest):
                current = sotw.receive(self.session, request)
            else:
                current = delta.receive(self.session, request)
        except TooManyNames as too_many:
            raise Refusal(Code.RESOURCE_EXHAUSTED, f"{BY_URL[url].short}: {too_many}") from None
        if not current:
            self._metrics.expired.add(BY_URL[url].short)
            return
        for rejection in self.session.rejections:
            self._refused = True
            self._shared.rejected(self, rejection)
        self.session.rejections.clear()
        watch = self.session.watches.get(url)
        self.seat.want(url, watch.names if watch is not None else NO_NAMES)
        if url == PROXY_CONFIG.url and watch is not None and watch.accepted:
            self._shared.trusted(self, watch.accepted)
        self._stir()

    # -- writing -------------------------------------------------------------------------------

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while (send := self.session.next()) is not None:
                await self._send(send)
            while self._questions:
                if (told := await self._shared.inspected(self.node, self._questions.popleft())) is not None:
                    await self._stream.write(told)
            self._unread = 0
            self._caught_up.set()
            self._settle()
            if self.session.waits and self._lapse is None:
                self._lapse = loop.call_later(self._shared.patience.total_seconds(), self._lapsed)
            if not self._stirred:
                self._woken = loop.create_future()
                await self._woken
            self._stirred = False

    def _lapsed(self) -> None:
        self._lapse = None
        self.session.lapse()
        self._stir()

    async def _send(self, send: Send) -> None:
        if self._lapse is not None:
            self._lapse.cancel()
            self._lapse = None
        short = send.type.short
        begun = self._clock.moment()
        body = bytes(send)
        if send.pushed:
            self._time(send.revision)
        started = self._clock.moment()
        if len(body) < LARGE:
            await self._stream.write(body)
        else:
            await self._write_large(body)
        written = self._clock.moment()
        self._metrics.send_time.observe(written - started)
        self._metrics.push_time.labels(short).observe(written - begun)
        self._metrics.pushes.add(short)
        self._metrics.sizes.labels(short).observe(len(body))
        self.sent_at[send.type.url] = self._clock.now()

    async def _write_large(self, body: bytes) -> None:
        """Write when there is a place for a large response, and keep the place for a moment at most."""
        places = self._shared.large
        await places.acquire()
        leaving = asyncio.get_running_loop().call_later(_LARGE_FOR, places.release)
        try:
            await self._stream.write(body)
        finally:
            if leaving.when() > asyncio.get_running_loop().time():
                leaving.cancel()
                places.release()

    def _time(self, revision: int) -> None:
        delay = self._timeline.sent(revision, self.id)
        if delay is not None:
            self._metrics.convergence.observe(delay.total_seconds())

    # -- what became of publications -------------------------------------------------------------

    def _settle(self) -> None:
        settled = self.session.settled
        while self._owed and self._owed[0] <= settled:
            outcome = Outcome.REFUSED if self._refused else Outcome.ACKED
            self._timeline.ended(self._owed.popleft(), self.id, outcome)
        if not self._owed:
            self._refused = False

    def hung_up(self) -> None:
        """The stream is over, and with it what it was still owed."""
        for revision in self._owed:
            self._timeline.ended(revision, self.id, Outcome.GONE)
        self._owed.clear()
