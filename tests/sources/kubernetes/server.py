"""An API server that does as it is told, well or badly: it answers one request after the other from a script."""

import asyncio
import contextlib
import json
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from kubernetes.aio.client import Configuration

Object = dict[str, Any]


class Answer(NamedTuple):
    """How one request is answered."""

    status: int = 200
    body: bytes = b""
    headers: tuple[str, ...] = ()
    chunked: bool = False  # a stream
    ending: str = "end"  # "cut": the connection breaks; "stall": nothing more comes, and nothing is closed
    held: bool = False  # of its body, nothing is sent before the server is told to


def thing(name: str, version: str = "1", **data: str) -> Object:
    """A ConfigMap, for want of anything smaller."""
    return {"metadata": {"namespace": "default", "name": name, "resourceVersion": version}, "data": data}


def listing(version: str, *objects: Object, more: str = "") -> Answer:
    metadata = {"resourceVersion": version, "continue": more}
    return Answer(body=json.dumps({"metadata": metadata, "items": objects or None}).encode())


def stream(*events: Object | bytes, ending: str = "end") -> Answer:
    """Lines of a watch; bytes are sent as they are."""
    lines = [one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in events]
    return Answer(body=b"".join(lines), chunked=True, ending=ending)


def event(kind: str, one: Object) -> Object:
    return {"type": kind, "object": one}


def bookmark(version: str) -> Object:
    return event("BOOKMARK", {"metadata": {"resourceVersion": version}})


def failure(status: int, reason: str = "", **headers: str) -> Answer:
    body = {"kind": "Status", "code": status, "reason": reason, "message": "as told"}
    lines = tuple(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())
    return Answer(status, json.dumps(body).encode(), lines)


class Server:
    """Serves a script; what is asked after its end is never answered."""

    def __init__(self, script: Iterable[Answer], *, of_lists: bool = False) -> None:
        """`of_lists`: the script is of lists alone, whoever comes first; watches are silent."""
        self._script = list(script)
        self._of_lists = of_lists
        self.asked: list[tuple[str, dict[str, str]]] = []  # paths and queries
        self.tokens: list[str] = []
        self.go_on = asyncio.Event()  # with answers that are held

    async def login(self) -> Configuration:
        configuration = Configuration()
        configuration.host = self.url
        return configuration

    @contextlib.asynccontextmanager
    async def running(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._tasks: set[asyncio.Task[None]] = set()
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            while head := await _head(reader):
                first, *headers = head.decode().split("\r\n")
                target = urlsplit(first.split(" ")[1])
                self.asked.append((target.path, dict(parse_qsl(target.query))))
                self.tokens += [one.partition(": ")[2] for one in headers if one.lower().startswith("authorization")]
                scripted = self._script and not (self._of_lists and "watch=1" in target.query)
                answer = self._script.pop(0) if scripted else Answer(chunked=True, ending="stall")
                if not await self._answered(answer, writer):
                    return
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            writer.close()

    async def _answered(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection can be used again."""
        length = "Transfer-Encoding: chunked" if answer.chunked else f"Content-Length: {len(answer.body)}"
        head = "\r\n".join((f"HTTP/1.1 {answer.status} Told", length, *answer.headers))
        writer.write(f"{head}\r\n\r\n".encode())
        if answer.held:
            await self.go_on.wait()
        if not answer.chunked:
            writer.write(answer.body)
        elif answer.body:
            writer.write(f"{len(answer.body):x}\r\n".encode() + answer.body + b"\r\n")
        await writer.drain()
        if answer.ending == "stall":
            await asyncio.Event().wait()
        if answer.chunked and answer.ending == "end":
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return answer.ending == "end"


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
