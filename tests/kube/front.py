"""In front of a real API server: what passes on all that is asked and answered, until it is told to do otherwise."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import yaml
from aiohttp import web

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""What is answered instead, and by whom nothing is asked then; None: it is passed on."""

_HOP_BY_HOP = {"content-length", "transfer-encoding", "connection", "date", "server", "content-encoding"}


@dataclass
class Front:
    """What a test says to it."""

    url: str = ""
    fault: Fault | None = None
    halved: bool = False  # whether answers that are streams end in the middle of what comes next
    _open: list[web.Request] = field(default_factory=list)

    def cut(self) -> None:
        """Break what is under way."""
        for request in self._open:
            if request.transport is not None:
                request.transport.abort()

    async def _passed(self, request: web.Request, url: str, session: aiohttp.ClientSession) -> web.StreamResponse:
        if self.fault is not None and (answer := await self.fault(request)) is not None:
            return answer
        headers = {name: text for name, text in request.headers.items() if name not in {"Host", "Accept-Encoding"}}
        body = await request.read()
        async with session.request(request.method, f"{url}{request.path_qs}", headers=headers, data=body) as answer:
            kept = {name: text for name, text in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                if self.halved and "watch" in request.query:
                    await response.write(chunk[: len(chunk) // 2])
                    request.transport.abort()
                    break
                await response.write(chunk)
            return response

    async def handle(self, request: web.Request, url: str, session: aiohttp.ClientSession) -> web.StreamResponse:
        self._open.append(request)
        try:
            return await self._passed(request, url, session)
        except ConnectionError:  # whoever asked has gone
            return web.Response()
        finally:
            self._open.remove(request)


def admin(cluster) -> ssl.SSLContext:
    """What the admin of a cluster shows its API server."""
    written = yaml.safe_load(cluster.kubeconfig.read_text())
    context = ssl.create_default_context(cafile=written["clusters"][0]["cluster"]["certificate-authority"])
    user = written["users"][0]["user"]
    context.load_cert_chain(user["client-certificate"], user["client-key"])
    return context


@asynccontextmanager
async def fronted(cluster) -> AsyncIterator[Front]:
    """A front of a cluster's API server, over plain HTTP: whoever asks it is the cluster's admin."""
    front = Front()
    connector = aiohttp.TCPConnector(ssl=admin(cluster), limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=2**21) as session:

        async def handle(request: web.Request) -> web.StreamResponse:
            return await front.handle(request, cluster.url, session)

        runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        front.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        try:
            yield front
        finally:
            front.cut()
            await asyncio.shield(runner.cleanup())
