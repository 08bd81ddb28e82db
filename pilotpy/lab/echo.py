"""The application of a pod that names none: says who it is, what it received, and from which address.

Every port speaks what its client speaks. HTTP/1.1 and HTTP/2 are answered with JSON; gRPC, whatever the method, with a
message whose first field is that JSON; anything else line by line. A query asks for more than an answer:

    ?status=503        answer with this status
    ?delay=0.2         answer after so many seconds
    ?url=http://next/  first ask there, and put the answer under "next"; trace headers are passed on

Run as a program of its own, with the standard library alone, so that it starts fast and is small.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Answer = dict[str, Any]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE ")
_TRACE = ("x-request-id", "traceparent", "tracestate", "b3", "x-b3-", "x-ot-span-context", "baggage")
_MAX_BODY = 1 << 20
_MAX_SHOWN = 1 << 14  # of a body; an answer then fits into HTTP/2's first flow control window


class Echo:
    """One application on all its ports."""

    def __init__(self, identity: Answer, packages: str) -> None:
        self._identity = identity
        self._packages = packages  # where to find the HTTP/2 library, should somebody speak it

    async def serve(self, ports: list[int]) -> None:
        """Listen on every port until the process ends. Raises OSError for a port that is taken."""
        loop = asyncio.get_running_loop()
        for port in ports:
            # A dual-stack socket: clients of either IP version are the same to an application.
            listening = socket.create_server(("", port), family=socket.AF_INET, reuse_port=False, backlog=1024)
            await asyncio.start_server(self._connected, sock=listening, limit=_MAX_BODY)
        await loop.create_future()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A port that is checked rather than spoken to closes before it has said anything.
        try:
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            first = await reader.read(65536)
            while 0 < len(first) < len(_PREFACE) and _PREFACE.startswith(first):
                first += await reader.read(65536)
            if first.startswith(_PREFACE):
                await self._http2(first, reader, writer)
            elif first.startswith(_METHODS):
                await self._http1(first, reader, writer)
            elif first:
                await self._lines(first, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _said(self, writer: asyncio.StreamWriter, protocol: str, **received: object) -> Answer:
        host, port = writer.get_extra_info("peername")[:2]
        own = writer.get_extra_info("sockname")[1]
        return {**self._identity, "port": own, "from": f"{host}:{port}", "protocol": protocol, **received}

    async def _lines(self, buffered: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while buffered:
            text = buffered.decode(errors="replace").rstrip("\r\n")
            writer.write(json.dumps(self._said(writer, "TCP", received=text)).encode() + b"\n")
            await writer.drain()
            buffered = await reader.read(65536)

    async def _http1(self, buffered: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What was read to recognise the protocol is put in front of what is still to come.
        rest = _Rest(buffered, reader)
        keep = True
        while keep and (head := await rest.until(b"\r\n\r\n")):
            method, target, headers = _head(head)
            body = await rest.exactly(int(headers.get("content-length", "0"))) if "content-length" in headers else b""
            if headers.get("transfer-encoding", "").lower() == "chunked":
                body = await _chunks(rest)
            keep = headers.get("connection", "").lower() != "close"
            status, answer = await self._answered(
                self._said(writer, "HTTP/1.1", method=method, path=target, headers=headers, body=_text(body))
            )
            text = json.dumps(answer).encode() + b"\n"
            lines = [
                f"HTTP/1.1 {status} {_reason(status)}",
                "content-type: application/json",
                f"content-length: {len(text)}",
                *([] if keep else ["connection: close"]),
            ]
            writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else text))
            await writer.drain()

    async def _answered(self, said: Answer) -> tuple[int, Answer]:
        """Do what the query asks for. Returns the status and the whole answer."""
        query = dict(parse_qsl(urlsplit(said["path"]).query))
        if "delay" in query:
            await asyncio.sleep(float(query["delay"]))
        if "url" in query:
            said["next"] = await asyncio.to_thread(_asked, query["url"], said["headers"])
        return int(query.get("status", "200")), said

    async def _http2(self, buffered: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sys.path.append(self._packages)
        from h2.config import H2Configuration
        from h2.connection import H2Connection
        from h2.events import DataReceived, RequestReceived, StreamEnded

        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        requests: dict[int, dict[str, str]] = {}
        bodies: dict[int, bytes] = {}
        tasks = set[asyncio.Task[None]]()
        while buffered:
            for event in connection.receive_data(buffered):
                if isinstance(event, RequestReceived):
                    requests[event.stream_id] = {str(name): str(value) for name, value in event.headers}
                    bodies[event.stream_id] = b""
                elif isinstance(event, DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    bodies[event.stream_id] += event.data
                if isinstance(event, StreamEnded):
                    headers, body = requests.pop(event.stream_id), bodies.pop(event.stream_id)
                    task = asyncio.create_task(self._stream(connection, writer, event.stream_id, headers, body))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
            writer.write(connection.data_to_send())
            await writer.drain()
            buffered = await reader.read(65536)

    async def _stream(
        self, connection: Any, writer: asyncio.StreamWriter, stream: int, headers: dict[str, str], body: bytes
    ) -> None:
        is_grpc = headers.get("content-type", "").startswith("application/grpc")
        if is_grpc:
            body = _first_field(body[5:])
        said = self._said(
            writer,
            "gRPC" if is_grpc else "HTTP/2",
            method=headers[":method"],
            path=headers[":path"],
            headers={name if name[0] != ":" else name[1:]: value for name, value in headers.items()},
            body=_text(body),
        )
        status, answer = await self._answered(said)
        text = json.dumps(answer).encode()
        if is_grpc:
            message = b"\x08\x01" if said["path"] == "/grpc.health.v1.Health/Check" else b"\x0a" + _varint(text) + text
            connection.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
            connection.send_data(stream, b"\0" + len(message).to_bytes(4, "big") + message)
            connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        else:
            connection.send_headers(stream, [(":status", str(status)), ("content-type", "application/json")])
            connection.send_data(stream, text, end_stream=True)
        writer.write(connection.data_to_send())


class _Rest:
    """A stream of which the beginning was read already."""

    def __init__(self, buffered: bytes, reader: asyncio.StreamReader) -> None:
        self._buffered = buffered
        self._reader = reader

    async def until(self, end: bytes) -> bytes:
        """Up to and with ``end``; empty when the stream ends before."""
        while end not in self._buffered:
            more = await self._reader.read(65536)
            if not more:
                return b""
            self._buffered += more
        found, _, self._buffered = self._buffered.partition(end)
        return found + end

    async def exactly(self, count: int) -> bytes:
        """So many bytes. Raises IncompleteReadError."""
        if len(self._buffered) < count:
            self._buffered += await self._reader.readexactly(count - len(self._buffered))
        found, self._buffered = self._buffered[:count], self._buffered[count:]
        return found


async def _chunks(rest: _Rest) -> bytes:
    body = b""
    while size := int((await rest.until(b"\r\n")).partition(b";")[0] or b"0", 16):
        body += await rest.exactly(size)
        await rest.exactly(2)
    await rest.until(b"\r\n")
    return body


def _head(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _version = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    return method, target, {name.strip().lower(): value.strip() for name, _, value in pairs}


def _asked(url: str, headers: Mapping[str, str]) -> Any:
    import urllib.error
    import urllib.request

    passed = {name: value for name, value in headers.items() if name.startswith(_TRACE)}
    request = urllib.request.Request(url, headers=passed)  # noqa: S310 - the client says where to, that is the point
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310 - see above
            return _json(answer.read())
    except urllib.error.HTTPError as refused:
        return {"status": refused.code, "answer": _json(refused.read())}
    except OSError as failed:
        return {"error": str(failed)}


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return _text(text)


def _text(body: bytes) -> str:
    return body[:_MAX_SHOWN].decode(errors="replace")


def _reason(status: int) -> str:
    return HTTPStatus(status).phrase if status in {member.value for member in HTTPStatus} else "Unknown"


def _first_field(message: bytes) -> bytes:
    """The first field of a protobuf message, if it is text or bytes; else the whole message."""
    if not message.startswith(b"\x0a"):
        return message
    length = shift = 0
    for at, byte in enumerate(message[1:], start=2):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return message[at : at + length]
    return message


def _varint(text: bytes) -> bytes:
    length, out = len(text), bytearray()
    while length > 0x7F:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out)


def main(run: Callable[[Any], None] = asyncio.run) -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(description="echo server of a lab")
    parser.add_argument("--ports", required=True, help="comma separated")
    parser.add_argument("--identity", type=json.loads, default={}, help="JSON object that every answer begins with")
    parser.add_argument("--packages", default="", help="folder of the HTTP/2 library")
    given = parser.parse_args()
    ports = [int(port) for port in given.ports.split(",")]
    run(Echo(given.identity, given.packages).serve(ports))


if __name__ == "__main__":
    main()
