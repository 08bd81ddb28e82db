"""The HTTP side of a control plane: readiness, metrics, and what people ask when a proxy misbehaves.

Two applications on istiod's two ports, sharing `/debug/*`. Source: pilot/pkg/xds/debug.go for paths and shapes,
pilot/cmd/pilot-discovery for what is where. `/debug/timeline` is ours. Whoever asks from another machine would have to
say who they are, which needs certificates that do not exist yet: they are refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from importlib.metadata import version
from ipaddress import ip_address
from typing import Any, Final

import msgspec
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from pilotpy.ops.instruments import Instruments
from pilotpy.xds.config_dump import config_dump, resources
from pilotpy.xds.connection import Connection
from pilotpy.xds.edge import Edge
from pilotpy.xds.resource_type import ENDPOINT, IN_ORDER, NAME_TABLE, ResourceType
from pilotpy.xds.status import client, client_with_watches, sync_status

Page = Callable[[Request], Awaitable[Response]]

_ELSEWHERE: Final = "Proxy not connected to this Pilot instance. It may be connected to another instance.\n"
_BY_SHORT: Final = {type_.short: type_ for type_ in IN_ORDER}


def applications(edge: Edge, instruments: Instruments) -> tuple[Starlette, Starlette]:
    """The applications for the HTTP port (8080) and the monitoring port (15014)."""
    pages = _Pages(edge, instruments)
    debug = pages.debug()
    http = Starlette(routes=[Route("/ready", pages.ready), *debug])
    monitoring = Starlette(routes=[Route("/metrics", pages.metrics), Route("/version", _version), *debug])
    return http, monitoring


class _Pages:
    def __init__(self, edge: Edge, instruments: Instruments) -> None:
        self._edge = edge
        self._instruments = instruments

    def debug(self) -> list[Route]:
        pages: dict[str, Page] = {
            "adsz": self.adsz,
            "config_dump": self.config_dump,
            "connections": self.connections,
            "edsz": self._of_type(ENDPOINT),
            "ndsz": self._of_type(NAME_TABLE),
            "syncz": self.syncz,
            "timeline": self.timeline,
        }
        names = sorted([*pages, "list"])
        links = "".join(f'<li><a href="/debug/{name}">{name}</a></li>' for name in names)

        async def index(_: Request) -> Response:
            return HTMLResponse(f"<!doctype html><title>pilotpy</title><ul>{links}</ul>")

        async def listed(request: Request) -> Response:
            return _json(request, names)

        routes = [Route(f"/debug/{name}", _from_here(page)) for name, page in pages.items()]
        return [Route("/debug", index), Route("/debug/list", _from_here(listed)), *routes]

    async def ready(self, _: Request) -> Response:
        return Response(status_code=200 if self._edge.ready else 503)

    async def metrics(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._instruments.metrics.registry), headers={"content-type": content_type})

    async def syncz(self, request: Request) -> Response:
        namespace = request.query_params.get("namespace", "")
        found = (c for c in self._sorted() if not namespace or c.namespace == namespace)
        return _json(request, [sync_status(connection) for connection in found])

    async def connections(self, request: Request) -> Response:
        found = self._sorted()
        return _json(request, {"totalClients": len(found), "clients": [client(c) for c in found]})

    async def adsz(self, request: Request) -> Response:
        if request.query_params.get("push"):
            return PlainTextResponse(f"Pushed to {self._edge.push_all()} servers\n")
        found = self._sorted()
        if proxy := request.query_params.get("proxyID"):
            found = [connection for connection in found if proxy in connection.id][:1]
            if not found:
                return PlainTextResponse(_ELSEWHERE, 404)
        return _json(request, {"totalClients": len(found), "clients": [client_with_watches(c) for c in found]})

    async def timeline(self, request: Request) -> Response:
        return _json(request, [record.fields() for record in reversed(self._instruments.timeline.records())])

    async def config_dump(self, request: Request) -> Response:
        names = request.query_params.get("types", "")
        types = [_BY_SHORT[name] for name in names.lower().split(",") if name in _BY_SHORT]
        return await self._dumped(request, types) if names else await self._dumped(request, None)

    def _of_type(self, type_: ResourceType) -> Page:
        async def page(request: Request) -> Response:
            return await self._dumped(request, [type_])

        return page

    async def _dumped(self, request: Request, types: list[ResourceType] | None) -> Response:
        proxy = request.query_params.get("proxyID")
        if not proxy:
            return PlainTextResponse("You must provide a proxyID in the query string\n", 400)
        connection = next((c for c in self._sorted() if proxy in c.id), None)
        if connection is None:
            return PlainTextResponse(_ELSEWHERE, 404)
        session, publication = connection.session, connection.seat.publication

        def dump() -> dict[str, Any]:  # may be megabytes: streams go on meanwhile
            if types is None:
                return config_dump(session, publication, endpoints="include_eds" in request.query_params)
            return {"configs": [found for type_ in types for found in resources(session, publication, type_)]}

        return _json(request, await run_in_threadpool(dump))

    def _sorted(self) -> list[Connection]:
        return sorted(self._edge.connections.values(), key=lambda connection: connection.id)


def _from_here(page: Page) -> Page:
    """The page, for clients on this machine only."""

    @wraps(page)
    async def guarded(request: Request) -> Response:
        try:
            local = request.client is not None and ip_address(request.client.host).is_loopback
        except ValueError:
            local = False
        return await page(request) if local else Response(status_code=401)

    return guarded


async def _version(_: Request) -> Response:
    return PlainTextResponse(version("pilotpy"))


def _json(request: Request, content: object) -> Response:
    body = msgspec.json.encode(content, enc_hook=str)
    if "pretty" in request.query_params:
        body = msgspec.json.format(body)
    return Response(body, media_type="application/json")
