"""How long to wait before the next try: longer each time, and never all at once. No clock, no chance of its own."""

from __future__ import annotations

from datetime import timedelta
from random import Random


class Backoff:
    """The pauses of one asker."""

    def __init__(self, random: Random, first: timedelta, longest: timedelta) -> None:
        self._random = random
        self._first = first
        self._longest = longest
        self.failures = 0  # in a row

    def reset(self) -> None:
        """It works again."""
        self.failures = 0

    def pause(self, asked: timedelta | None = None) -> timedelta:
        """The pause after one more failure: about twice the last one, and no less than the server asked for."""
        most = min(self._first * (1 << min(self.failures, 16)), self._longest)
        self.failures += 1
        return max(asked or timedelta(0), most * (0.5 + self._random.random() / 2))
