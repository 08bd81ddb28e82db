"""What an agent answers over HTTP: readiness, metrics, checks of the application, and how to have it end.

Source  istio/istio ``pilot/cmd/pilot-agent/status/server.go``.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pilotpy.agent.metrics import Page
from pilotpy.ops.logs import fields

_LOG: Final = logging.getLogger("pilotpy.status")


class Status:
    """The pages of one agent."""

    def __init__(
        self,
        *,
        unready: Callable[[], Awaitable[str]],
        metrics: Callable[[str], Awaitable[Page]],
        check: Callable[[str], Awaitable[int]],
        end: Callable[[bool], None],
    ) -> None:
        self._unready = unready  # what is lacking; empty: nothing
        self._metrics = metrics  # takes an Accept header
        self._check = check  # status of the application's check at a path; raises KeyError for none, OSError
        self._end = end  # takes whether to drain first
        self._said = ""

    def application(self) -> Starlette:
        """For a server."""
        return Starlette(
            routes=[
                Route("/healthz/ready", self._ready),
                Route("/stats/prometheus", self._all_metrics),
                Route("/metrics", self._all_metrics),
                Route("/quitquitquit", self._quit, methods=["POST"]),
                Route("/drain", self._drain, methods=["POST"]),
                Route("/app-health/{rest:path}", self._checked),
                Route("/app-lifecycle/{rest:path}", self._checked),
            ]
        )

    async def _ready(self, _request: Request) -> Response:
        lacking = await self._unready()
        if lacking != self._said:
            _LOG.info("ready" if not lacking else "not ready", extra=fields(**{"reason": lacking} if lacking else {}))
            self._said = lacking
        return PlainTextResponse(lacking, HTTPStatus.SERVICE_UNAVAILABLE if lacking else HTTPStatus.OK)

    async def _all_metrics(self, request: Request) -> Response:
        page = await self._metrics(request.headers.get("accept", ""))
        return Response(page.body, headers={"content-type": page.content_type})

    async def _checked(self, request: Request) -> Response:
        try:
            return Response(status_code=await self._check(request.url.path))
        except KeyError:
            return Response(status_code=HTTPStatus.NOT_FOUND)
        except OSError as failed:
            _LOG.info("check failed", extra=fields(path=request.url.path, reason=str(failed) or "no answer in time"))
            return Response(status_code=HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _quit(self, request: Request) -> Response:
        return self._ended(request, drain=False)

    async def _drain(self, request: Request) -> Response:
        return self._ended(request, drain=True)

    def _ended(self, request: Request, *, drain: bool) -> Response:
        if request.client is None or not ip_address(request.client.host.partition("%")[0]).is_loopback:
            return PlainTextResponse("only from this pod", HTTPStatus.FORBIDDEN)
        self._end(drain)
        return PlainTextResponse("OK")
