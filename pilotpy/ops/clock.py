"""The clocks of the process, as something that can be handed in."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import NewType, Protocol

Moment = NewType("Moment", float)  # seconds on a clock that only goes forward; differences are what counts


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The time of day, with its zone."""
        ...

    def moment(self) -> Moment:
        """The time since some start, never set back."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return datetime.now(UTC)

    def moment(self) -> Moment:
        """The monotonic clock."""
        return Moment(time.monotonic())
