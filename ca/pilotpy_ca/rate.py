"""How often somebody may ask: so many times at once, so many a second after that.

The generic cell rate algorithm: of each key only the moment is kept at which it would have all of its turns again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

_FEW = 1024


class RateLimit:
    """Turns by key. Those who have all of theirs are forgotten, so it holds no more than have asked lately."""

    def __init__(self, at_once: int, per_second: float) -> None:
        self._turn = timedelta(seconds=1 / per_second)
        self._longest = self._turn * at_once
        self._whole_again: dict[str, datetime] = {}
        self._look_at = _FEW

    def admits(self, key: str, now: datetime) -> bool:
        """Whether it is this one's turn, which is taken then."""
        whole_again = self._whole_again.get(key, now)
        if whole_again > now + self._longest:  # the clock was set back
            whole_again = now
        after = max(whole_again, now) + self._turn
        if after > now + self._longest:
            return False
        self._whole_again[key] = after
        if len(self._whole_again) > self._look_at:
            self._whole_again = {one: at for one, at in self._whole_again.items() if at > now}
            self._look_at = max(_FEW, 2 * len(self._whole_again))
        return True

    def __len__(self) -> int:
        return len(self._whole_again)
