"""One HTTP request inside a pod: to Envoy's admin port, to the application's metrics and health checks.

HTTP/1.1, a connection each, bounded in size by the caller and in time by ``asyncio.timeout`` around the call.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import closing
from http import HTTPStatus
from typing import Final, NamedTuple

import h11

from pilotpy.agent.network import PodNetwork

_CHUNK: Final = 65536


class Answer(NamedTuple):
    """What a server said."""

    status: int
    headers: tuple[tuple[str, str], ...]  # names in lower case
    body: bytes

    @property
    def is_good(self) -> bool:
        """Whether health checks take it for a yes: any success or redirection."""
        return HTTPStatus.OK <= self.status < HTTPStatus.BAD_REQUEST

    def header(self, name: str) -> str:
        """The first header of a name in lower case; empty if there is none."""
        return next((value for key, value in self.headers if key == name), "")


class Question(NamedTuple):
    """What to ask whom."""

    host: str  # an address
    port: int
    path: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()  # a Host among them wins over the address
    tls: ssl.SSLContext | None = None
    source: str = ""  # address to come from


async def asked(question: Question, network: PodNetwork, *, at_most: int) -> Answer:
    """The answer, of ``at_most`` bytes. Raises OSError for none, for a longer one, and for one that is not HTTP."""
    connected = await network.connected(question.host, question.port, source=question.source)
    reader, writer = await asyncio.open_connection(
        sock=connected, ssl=question.tls, server_hostname="" if question.tls else None
    )
    with closing(writer):
        http = h11.Connection(h11.CLIENT)
        try:
            request = h11.Request(method=question.method, target=question.path, headers=_headers(question))
            for event in (request, h11.EndOfMessage()):
                writer.write(http.send(event) or b"")
            return await _answer(http, reader, at_most)
        except h11.ProtocolError as wrong:
            raise OSError(f"{question.host}:{question.port}: {wrong}") from wrong


def _headers(question: Question) -> list[tuple[str, str]]:
    host = f"[{question.host}]" if ":" in question.host else question.host
    named = (
        () if any(name.lower() == "host" for name, _ in question.headers) else (("host", f"{host}:{question.port}"),)
    )
    return [*named, ("connection", "close"), *question.headers]


async def _answer(http: h11.Connection, reader: asyncio.StreamReader, at_most: int) -> Answer:
    status, body = 0, bytearray()
    headers: tuple[tuple[str, str], ...] = ()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > at_most:
                raise OSError(f"an answer of more than {at_most} bytes")
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return Answer(status, headers, bytes(body))
