"""What became of each change: when it was seen, compiled and sent, and how many proxies took it.

One record for each publication that woke somebody, because changes that fall into one publication cannot be told
apart on the wire. The latest are kept for people to look at; each is logged once, when the last proxy has answered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from pilotpy.ops.clock import Clock, Moment

_CAUSES: Final = 10  # named in a record; the others are counted


class Outcome(Enum):
    """How one proxy's part of a change ended."""

    ACKED = "acked"
    REFUSED = "refused"
    GONE = "gone"  # it hung up first


@dataclass(slots=True)
class Record:
    """The life of one publication, and of the changes that it carries."""

    revision: int
    causes: tuple[str, ...]  # "VirtualService default/reviews", the first few, sorted
    more: int  # causes that are not named
    seen_at: datetime
    seen: Moment  # of its first change
    compiled: Moment
    waiting: set[str]  # connections that have not answered
    proxies: int  # that get it
    first_sent: Moment | None = None
    last_sent: Moment | None = None
    finished: Moment | None = None
    sent_to: set[str] = field(default_factory=set)  # connections
    outcomes: dict[Outcome, int] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """How many proxies something was sent to."""
        return len(self.sent_to)

    def fields(self) -> dict[str, Any]:
        """The record as plain data: times in milliseconds since the change was seen, None where not yet."""
        return {
            "revision": self.revision,
            "causes": list(self.causes),
            "more_causes": self.more,
            "seen": self.seen_at.isoformat(),
            "compiled_ms": self._after(self.compiled),
            "first_sent_ms": self._after(self.first_sent),
            "last_sent_ms": self._after(self.last_sent),
            "finished_ms": self._after(self.finished),
            "proxies": self.proxies,
            "sent": self.sent,
            **{outcome.value: self.outcomes.get(outcome, 0) for outcome in Outcome},
        }

    def _after(self, moment: Moment | None) -> float | None:
        return None if moment is None else round((moment - self.seen) * 1000, 1)


class Timeline:
    """The latest records; `finished` is called with each as soon as it is complete, or dropped unfinished."""

    def __init__(self, clock: Clock, finished: Callable[[Record], None], kept: int = 256) -> None:
        self._clock = clock
        self._finished = finished
        self._kept = kept
        self._records: OrderedDict[int, Record] = OrderedDict()
        self._causes: set[str] = set()
        self._seen: tuple[datetime, Moment] | None = None

    def seen(self, causes: Iterable[str], at: Moment | None = None) -> None:
        """Objects changed. Called before the publication that carries them."""
        moment = at if at is not None else self._clock.moment()
        self._causes.update(causes)
        if self._seen is None or moment < self._seen[1]:
            ago = timedelta(seconds=self._clock.moment() - moment)
            self._seen = self._clock.now() - ago, moment

    def compiled(self, revision: int, connections: set[str]) -> None:
        """What was seen is compiled, and these get something new. None of them: there is nothing to follow."""
        causes, seen = sorted(self._causes), self._seen
        self._causes, self._seen = set(), None
        if not connections or seen is None:
            return
        named, more, compiled = tuple(causes[:_CAUSES]), len(causes[_CAUSES:]), self._clock.moment()
        self._records[revision] = Record(revision, named, more, *seen, compiled, connections, len(connections))
        while len(self._records) > self._kept:
            dropped = self._records.popitem(last=False)[1]
            if dropped.finished is None:
                self._finished(dropped)

    def sent(self, revision: int, connection: str) -> timedelta | None:
        """A part of a publication left for one proxy; if its first, returns how long after the change was seen."""
        record = self._records.get(revision)
        if record is None:
            return None
        record.last_sent = self._clock.moment()
        if record.first_sent is None:
            record.first_sent = record.last_sent
        if connection in record.sent_to:
            return None
        record.sent_to.add(connection)
        return timedelta(seconds=record.last_sent - record.seen)

    def ended(self, revision: int, connection: str, outcome: Outcome) -> None:
        """One proxy's part of a publication is over."""
        record = self._records.get(revision)
        if record is None or connection not in record.waiting:
            return
        record.waiting.remove(connection)
        record.outcomes[outcome] = record.outcomes.get(outcome, 0) + 1
        if not record.waiting:
            record.finished = self._clock.moment()
            self._finished(record)

    def records(self) -> list[Record]:
        """The latest records, oldest first."""
        return list(self._records.values())
