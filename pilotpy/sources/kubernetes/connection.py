"""One API server, as one user: requests and streams over the official client's transport.

What the server answers comes back as bytes; decoding is for others. Nobody is asked but the server that one is logged
in to: an answer that sends elsewhere is an error.

Source  kubernetes.aio (client/rest.py), API conventions (Status, Retry-After).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from pilotpy.sources.kubernetes.login import Login
from pilotpy.sources.kubernetes.trouble import Refused, TooMuch, Unreachable, Unusable
from pilotpy.sources.kubernetes.wire import JSON, Status

PATIENCE: Final = timedelta(seconds=60)
LARGEST: Final = 256 * 2**20  # bytes of an answer of which nobody says how large it may be
_CONNECT: Final = timedelta(seconds=10)
_LONGEST_PAUSE: Final = timedelta(minutes=1)  # that a server may ask for: nobody is deaf for an hour at a word
_LONGEST_LINE: Final = 64 * 2**20  # etcd takes objects of 1.5 MiB; a server that sends more means no good
_LONGEST_REFUSAL: Final = 2**20

_KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


class Connection:
    """Requests of one user to one API server. Belongs to one event loop."""

    def __init__(self, login: Login, login_patience: timedelta = PATIENCE) -> None:
        """`login_patience`: how long a login may take, which may be a program's."""
        self._login = login
        self._login_patience = login_patience
        self._entering = asyncio.Lock()
        self._session: _Session | None = None  # of the last login
        self._spent: set[_Session] = set()  # of those before, as long as something of theirs is under way

    async def ask(  # noqa: PLR0913 - a request has these parts
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content: str = JSON,
        accept: str = JSON,
        patience: timedelta = PATIENCE,
        silence: timedelta | None = None,
        largest: int = LARGEST,
    ) -> bytes:
        """The body of a successful answer, of `largest` bytes at most. Raises `Trouble`.

        `patience`: until all of it is there; `silence`: until it begins, and in the middle of it.
        """
        limits = aiohttp.ClientTimeout(
            total=patience.total_seconds(),
            sock_connect=_CONNECT.total_seconds(),
            sock_read=(silence or patience).total_seconds(),
        )
        async with self._answer(_Asked(method, _target(path, query), limits, accept, body, content)) as answer:
            return await _body(answer, largest)

    async def lines(
        self, path: str, query: Mapping[str, str], stall: timedelta, *, accept: str = JSON
    ) -> AsyncIterator[list[bytes]]:
        """The lines of an answer as they arrive, all that are there at a time, none of them once it begins.

        Ends when the server ends it. Raises `Trouble`, also if that is in the middle of a line, or if nothing comes for
        as long as `stall`.
        """
        limits = aiohttp.ClientTimeout(sock_connect=_CONNECT.total_seconds(), sock_read=stall.total_seconds())
        async with self._answer(_Asked("GET", _target(path, query), limits, accept)) as answer:
            yield []
            rest = b""
            async for chunk in answer.content.iter_any():
                *whole, rest = (rest + chunk).split(b"\n")
                if len(rest) > _LONGEST_LINE:
                    raise Unreachable(f"a line of more than {_LONGEST_LINE >> 20} MiB")
                if whole:
                    yield whole
            if rest:
                raise Unreachable("it ended in the middle of a line")

    async def close(self) -> None:
        """End all that is under way."""
        sessions, self._session, self._spent = [*self._spent, self._session], None, set()
        for session in sessions:
            if session is not None:
                await session.close()

    @contextlib.asynccontextmanager
    async def _answer(self, asked: _Asked) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer that is a success; with a new login, where the first one says that nobody is logged in."""
        with _told():
            async with contextlib.AsyncExitStack() as inside:
                session = await inside.enter_async_context(self._using(None))
                answer = await session.send(asked)
                if answer.status == 401:
                    answer.close()
                    session = await inside.enter_async_context(self._using(session))
                    answer = await session.send(asked)
                inside.callback(_hang_up, answer)
                if answer.status >= 300:
                    raise _refusal(answer, await _body(answer, _LONGEST_REFUSAL))
                yield answer

    @contextlib.asynccontextmanager
    async def _using(self, spent: _Session | None) -> AsyncIterator[_Session]:
        """A session that is not the one that is spent. What others do in that one goes on, and then it is closed."""
        session = await self._entered(spent)
        session.users += 1
        try:
            yield session
        finally:
            session.users -= 1
            if session in self._spent and not session.users:
                self._spent.discard(session)
                await session.close()

    async def _entered(self, spent: _Session | None) -> _Session:
        async with self._entering:
            if self._session is None or self._session is spent:
                async with asyncio.timeout(self._login_patience.total_seconds()):
                    configuration = await self._login()
                if self._session is not None:
                    self._spent.add(self._session)
                self._session = _Session(configuration)
            return self._session


class _Asked(NamedTuple):
    """One request."""

    method: str
    target: str  # path and query
    limits: aiohttp.ClientTimeout
    accept: str = JSON
    body: Any = None
    content: str = JSON


class _Transport(RESTClientObject):
    """The client's, with as many connections as there are watches, each of which has one of its own.

    It goes nowhere but where it is sent: an API server that answers with a redirect would have us ask for it what only
    we can reach, with what we are logged in by.
    """

    def _create_pool_manager(self) -> aiohttp.ClientSession:
        session: aiohttp.ClientSession = super()._create_pool_manager()
        trace = aiohttp.TraceConfig()
        trace.on_request_redirect.append(_stayed)
        trace.freeze()
        session.trace_configs.append(trace)
        return session

    def _create_connector(self) -> aiohttp.TCPConnector:
        # Until then a connection whose peer never answers TLS's goodbye was kept for ever (CPython's issue 118950).
        lingering = sys.version_info < (3, 12, 7)
        return _Connector(
            limit=0, ssl=self.ssl_context, enable_cleanup_closed=lingering, socket_factory=watchful_socket
        )


class _Connector(aiohttp.TCPConnector):
    """Leaves alone what has ended: Debian's Python, 3.11.2, cannot abort a transport that was closed after its end."""

    def _close(self, *, abort_ssl: bool = False) -> list[Awaitable[object]]:
        self._forget_ended()
        return super()._close(abort_ssl=abort_ssl)

    def _cleanup_closed(self) -> None:
        self._forget_ended()
        super()._cleanup_closed()

    def _forget_ended(self) -> None:
        closed = self._cleanup_closed_transports
        self._cleanup_closed_transports = [one for one in closed if getattr(one, "_ssl_protocol", one) is not None]


def watchful_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """One that notices within a minute when its peer is gone without a word: watches may be silent for longer."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds_or_times in _KEEPALIVE.items():
        if (number := getattr(socket, option, None)) is not None:  # not every system has them
            made.setsockopt(socket.IPPROTO_TCP, number, seconds_or_times)
    return made


class _Session:
    """One login."""

    def __init__(self, configuration: Configuration) -> None:
        self.users = 0  # requests under way
        self._configuration = configuration
        try:
            self._rest: RESTClientObject = _Transport(configuration)
        except (OSError, ValueError) as error:  # certificates that are missing or none
            raise Unusable(str(error)) from error

    async def send(self, asked: _Asked) -> aiohttp.ClientResponse:
        headers = {"Accept": asked.accept, "Content-Type": asked.content, "User-Agent": "pilotpy"}
        # The hook behind this reads a service account's token anew from time to time.
        token = await self._configuration.get_api_key_with_prefix("BearerToken")
        if token:
            headers["Authorization"] = token
        url = f"{self._configuration.host}{asked.target}"
        answer = await self._rest.request(
            asked.method, url, headers=headers, body=asked.body, _request_timeout=asked.limits
        )
        response: aiohttp.ClientResponse = answer.response
        return response

    async def close(self) -> None:
        """End all that is under way."""
        pool = self._rest.pool_manager
        if pool is not None and pool.connector is not None:
            await pool.connector.close(abort_ssl=True)
        await self._rest.close()


@contextlib.asynccontextmanager
async def connected(login: Login) -> AsyncIterator[Connection]:
    """A connection, closed in the end."""
    connection = Connection(login)
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What goes wrong on the way, as trouble."""
    try:
        yield
    except TimeoutError as error:
        raise Unreachable("no answer in time") from error
    # The last two: what a kubeconfig says of the server or of a proxy is no address.
    except (aiohttp.ClientError, OSError, ValueError, TypeError) as error:
        raise Unreachable(str(error) or type(error).__name__) from error


async def _stayed(_: aiohttp.ClientSession, __: object, asked: aiohttp.TraceRequestRedirectParams) -> None:
    answer = asked.response
    answer.close()
    raise Refused(answer.status, f"it sends elsewhere, to {answer.headers.get('Location', '')[:200]}")


async def _body(answer: aiohttp.ClientResponse, largest: int) -> bytes:
    """All of it, as it is once it is unpacked. Raises `TooMuch`."""
    parts, size = [], 0
    async for part in answer.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > largest:
            raise TooMuch(f"an answer of more than {largest} bytes")
    return b"".join(parts)


def _hang_up(answer: aiohttp.ClientResponse) -> None:
    """Leave an answer, read to its end or not; without TLS's goodbye, which would be waited for."""
    connection = answer.connection  # None: it has gone back to the others
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    answer.close()


def _target(path: str, query: Mapping[str, str] | None) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _refusal(answer: aiohttp.ClientResponse, body: bytes) -> Refused:
    try:
        status = msgspec.json.decode(body, type=Status)
    except msgspec.DecodeError:
        status = Status(message=body[:200].decode(errors="replace"))
    return status.refusal(answer.status, _retry_after(answer.headers.get("Retry-After", "")))


def _retry_after(text: str) -> timedelta | None:
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text), _LONGEST_PAUSE.total_seconds()))
    return None
