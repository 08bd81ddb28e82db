"""What every part of a running control plane is watched with: a clock, metrics, and the timeline of changes."""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from pilotpy.ops.clock import Clock, SystemClock
from pilotpy.ops.logs import fields
from pilotpy.ops.metrics import Metrics
from pilotpy.ops.timeline import Record, Timeline

_LOG: Final = logging.getLogger("pilotpy.timeline")


class Instruments(NamedTuple):
    """One set for a process."""

    clock: Clock
    metrics: Metrics
    timeline: Timeline


def instruments(clock: Clock | None = None) -> Instruments:
    """New instruments. Each change is logged, and measured, when the last proxy has answered it."""
    clock, metrics = clock or SystemClock(), Metrics()

    def finished(record: Record) -> None:
        if record.finished is None:
            _LOG.warning("change did not land", extra=fields(**record.fields()))
            return
        metrics.landing.observe(record.finished - record.seen)
        _LOG.info("change landed", extra=fields(**record.fields()))

    return Instruments(clock, metrics, Timeline(clock, finished))
