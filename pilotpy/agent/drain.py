"""How an Envoy is taken out of service: told to let go, given time, watched if that is asked for.

Source  istio/istio ``pkg/envoy/agent.go``.
"""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import timedelta
from typing import Final

import msgspec

from pilotpy.agent.envoy_admin import EnvoyAdmin
from pilotpy.ops.logs import fields

_LOG: Final = logging.getLogger("pilotpy.drain")
_EACH: Final = timedelta(seconds=1)
_FAILURES: Final = 5
_ACTIVE: Final = r"^listener\..*downstream_cx_active$"
_OTHER: Final = re.compile(r"\.worker_\d+\.|^listener\.admin\.|_(15021|15090)\.downstream_cx_active$")
"""Parts of other numbers, and listeners that are asked even while the pod ends."""


class Farewell(msgspec.Struct, frozen=True, kw_only=True):
    """How long an Envoy stays once it is to end; the defaults are Istio's."""

    duration: timedelta = timedelta(seconds=5)  # that open connections have
    until_idle: bool = False  # instead: until nobody is connected
    at_least: timedelta = timedelta(seconds=5)  # with until_idle


async def drained(envoy: EnvoyAdmin, farewell: Farewell, *, stays: bool = False) -> None:
    """Have Envoy let go of its clients; returns when it may end. ``stays``: its listeners stay open meanwhile."""
    try:
        await envoy.post("/healthcheck/fail")
        await envoy.post(f"/drain_listeners?graceful{'&skip_exit' if stays else ''}")
    except OSError as gone:
        _LOG.warning("not drained", extra=fields(reason=str(gone)))
        return
    if not farewell.until_idle:
        await asyncio.sleep(farewell.duration.total_seconds())
        return
    await asyncio.sleep(farewell.at_least.total_seconds())
    failures = 0
    while failures < _FAILURES:
        try:
            open_now = await connections(envoy)
        except OSError:
            failures += 1
        else:
            if not open_now:  # none, or none that is counted
                return
            _LOG.info("connections are still open", extra=fields(count=open_now))
        await asyncio.sleep(_EACH.total_seconds())


async def connections(envoy: EnvoyAdmin) -> int:
    """How many clients are connected, health checks and metrics aside. Raises OSError."""
    counts = await envoy.counts(_ACTIVE)
    return sum(count for name, count in counts.items() if not _OTHER.search(name))
