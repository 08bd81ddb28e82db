"""Whom the HTTP server believes to be asking."""

from __future__ import annotations

import asyncio
import socket
from urllib.request import Request, urlopen

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pilotpy.ops.http_server import answering


async def client(request) -> PlainTextResponse:
    return PlainTextResponse(request.client.host)


def test_nobody_comes_from_elsewhere_by_saying_so():
    """Pages are shown to callers of this machine alone: a header must not make one of them, or of one a stranger."""

    async def play() -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        asked = Request(f"http://127.0.0.1:{listener.getsockname()[1]}/", headers={"X-Forwarded-For": "192.0.2.1"})
        async with answering(Starlette(routes=[Route("/", client)]), listener):
            return await asyncio.to_thread(lambda: urlopen(asked, timeout=5).read().decode())

    assert asyncio.run(play()) == "127.0.0.1"
