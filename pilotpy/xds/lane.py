"""When changes are compiled: after some quiet, but not later than a bound. Pure: moments come in.

Configuration waits for quiet, because one edit is often many events. Endpoints wait a fixed time from the first
(quiet and bound the same), because under steady churn quiet never comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from pilotpy.engine import Put
from pilotpy.ops.clock import Moment


class Load(NamedTuple):
    """What a lane has gathered."""

    puts: list[Put]
    causes: list[str]
    first: Moment  # when the first of it was seen


class Lane:
    """Gathers changes until they are due."""

    def __init__(self, name: str, quiet: timedelta, bound: timedelta) -> None:
        self.name = name
        self._quiet = quiet.total_seconds()
        self._bound = bound.total_seconds()
        self._puts: list[Put] = []
        self._causes: list[str] = []
        self._first: Moment | None = None
        self._last: Moment = Moment(0.0)

    def add(self, puts: Iterable[Put], causes: Iterable[str], now: Moment) -> None:
        """Take changes in."""
        self._puts.extend(puts)
        self._causes.extend(causes)
        self._first = now if self._first is None else self._first
        self._last = now

    @property
    def due(self) -> Moment | None:
        """When what has been gathered is to be taken; None if nothing has."""
        return None if self._first is None else Moment(min(self._last + self._quiet, self._first + self._bound))

    def taken(self) -> Load | None:
        """All that has been gathered; from here on the lane is empty. None if it was."""
        if self._first is None:
            return None
        load = Load(self._puts, self._causes, self._first)
        self._puts, self._causes, self._first = [], [], None
        return load
