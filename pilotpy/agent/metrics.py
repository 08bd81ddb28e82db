"""The metrics of a pod on one page: the agent's own, Envoy's and the application's.

Where the application's are is told by ``ISTIO_PROMETHEUS_ANNOTATIONS``, which the injector made of the Pod's
``prometheus.io`` annotations. They come last: an OpenMetrics page ends in a line that nothing may follow.

Source  istio/istio ``pilot/cmd/pilot-agent/status/server.go``.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable
from datetime import timedelta
from http import HTTPStatus
from typing import Final, NamedTuple, TypeVar

import msgspec

from pilotpy.agent.envoy_admin import EnvoyAdmin
from pilotpy.agent.http_client import Question, asked
from pilotpy.agent.network import PodNetwork
from pilotpy.ops.logs import fields

_T = TypeVar("_T")
_LOG: Final = logging.getLogger("pilotpy.metrics")
_PATIENCE: Final = timedelta(seconds=10)
_LARGEST: Final = 10 << 20
_PREFIXED: Final = re.compile(rb"^((?:# \w+ )?)envoy_istio_", re.MULTILINE)
"""Upstream's Envoy puts its name before every metric; dashboards know Istio's without."""
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_RESERVED: Final = frozenset({15000, 15001, 15004, 15006, 15008, 15020, 15021, 15053, 15090})


class Scrape(msgspec.Struct, frozen=True):
    """Where an application's metrics are."""

    scrape: str = ""
    path: str = ""
    port: str = ""


class Page(NamedTuple):
    """All metrics."""

    content_type: str
    body: bytes


def application(text: str, host: str = "127.0.0.1") -> Question | None:
    """What to ask an application, from the annotations as JSON. Raises ValueError; None if nothing is to be asked."""
    if not text:
        return None
    try:
        said = msgspec.json.decode(text, type=Scrape)
    except msgspec.MsgspecError as wrong:
        raise ValueError(f"ISTIO_PROMETHEUS_ANNOTATIONS: {wrong}") from wrong
    if said.scrape.lower() != "true":
        return None
    port = said.port or "80"
    if not port.isdigit() or not 0 < int(port) < 2**16:
        raise ValueError(f"ISTIO_PROMETHEUS_ANNOTATIONS: port {port!r} is not a port")
    if int(port) in _RESERVED:
        raise ValueError(f"ISTIO_PROMETHEUS_ANNOTATIONS: port {port} is the sidecar's own")
    return Question(host, int(port), "/" + (said.path or "/metrics").lstrip("/"))


async def merged(own: bytes, envoy: EnvoyAdmin, app: Question | None, network: PodNetwork, accept: str = "") -> Page:
    """All of them; who does not answer is left out, and logged. ``accept``: the forms that the asker takes."""

    async def applications() -> Page:
        if app is None:
            return Page(_TEXT, b"")
        question = app._replace(headers=(("accept", accept),)) if accept else app
        answer = await asked(question, network, at_most=_LARGEST)
        if answer.status != HTTPStatus.OK:
            raise OSError(f"status {answer.status}")
        return Page(answer.header("content-type") or _TEXT, answer.body)

    envoys, theirs = await asyncio.gather(
        _or(envoy.page("/stats/prometheus"), b"", "envoy"), _or(applications(), Page(_TEXT, b""), "application")
    )
    return Page(theirs.content_type, b"".join(map(_ended, (own, _PREFIXED.sub(rb"\1istio_", envoys), theirs.body))))


async def _or(asked_for: Awaitable[_T], otherwise: _T, whose: str) -> _T:
    try:
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            return await asked_for
    except OSError as failed:  # TimeoutError is one
        _LOG.warning("no metrics", extra=fields(of=whose, reason=str(failed) or "no answer in time"))
        return otherwise


def _ended(text: bytes) -> bytes:
    return text if not text or text.endswith(b"\n") else text + b"\n"
