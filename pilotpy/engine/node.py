"""One input cell or one answer: its value, what it read, who read it. And the work that was done."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass, replace
from typing import Any

from pilotpy.engine.query import Key, Query
from pilotpy.engine.store import Input

Source = Query[..., Any] | Input  # what was asked; with a key it names a node
_FEW = 8  # readers that are looked through as fast as they are looked up


class Cycle(Exception):
    """A query needs its own answer."""


class OutOfTime(BaseException):
    """The deadline of an ask has passed. Answers that were complete are kept; ask again.

    Not an ``Exception``: a leaf that may fail must not take it for a failure of its own.
    """


@dataclass(frozen=True, slots=True)
class Failure:
    """A note: this query raised, and its declared stand-in was used."""

    query: str
    key: Key
    reason: str


@dataclass(slots=True)
class Work:
    """What the engine has done so far. The counts are exact, so tests may assert them."""

    marks: int = 0  # answers that became doubtful
    runs: int = 0  # queries that ran
    equal: int = 0  # runs whose answer came out equal to the one before

    def copy(self) -> Work:
        """Return these counts as they are now."""
        return replace(self)

    def since(self, before: Work) -> Work:
        """Return the work done after ``before`` was copied."""
        return Work(self.marks - before.marks, self.runs - before.runs, self.equal - before.equal)


class Raised:
    """A query's exception, kept as its answer so that what it read is remembered too."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raised) and repr(self.error) == repr(other.error)

    __hash__ = None  # type: ignore[assignment]  # compared, never a key


class Node:
    """A vertex of the graph. Only engines touch one."""

    __slots__ = (
        "_readers",
        "changed",
        "doubtful",
        "held",
        "idle",
        "key",
        "notes",
        "owner",
        "ran",
        "reads",
        "running",
        "source",
        "value",
        "verified",
    )

    def __init__(self, owner: object, source: Source, key: Hashable) -> None:
        self.owner = owner  # the engine that may write to it
        self.source = source
        self.key: Any = key  # of a query: its arguments
        self.value: Any = None
        self.reads: tuple[Node, ...] = ()  # in the order in which they were made, each once
        # Most have one, many a few: a set for each would be a third of the memory.
        self._readers: Node | tuple[Node, ...] | set[Node] = ()
        self.notes: tuple[object, ...] = ()
        self.changed = -1  # revision at which the value last came out different
        self.verified = -1  # revision at which it was last known to be right; -1: never
        self.ran = 0  # the engine's count of runs when it last ran
        self.doubtful = True
        self.running = False
        self.held = 0
        self.idle = 0  # sweeps since it was last asked for, while nobody reads or holds it

    @property
    def readers(self) -> Collection[Node]:
        """Who read it, each once, in no order. Not to be changed."""
        readers = self._readers
        return (readers,) if isinstance(readers, Node) else readers

    def add_reader(self, reader: Node) -> None:
        """Remember who read it."""
        readers = self._readers
        if not readers:
            self._readers = reader
        elif isinstance(readers, set):
            readers.add(reader)
        elif isinstance(readers, Node):
            if readers is not reader:
                self._readers = (readers, reader)
        elif reader not in readers:
            self._readers = (*readers, reader) if len(readers) < _FEW else {*readers, reader}

    def drop_reader(self, reader: Node) -> None:
        """Forget a reader; nothing if it is none."""
        readers = self._readers
        if isinstance(readers, set):
            readers.discard(reader)
        else:
            left = tuple(other for other in self.readers if other is not reader)
            self._readers = left[0] if len(left) == 1 else left

    @property
    def query(self) -> Query[..., Any] | None:
        """What answers; None: it is an input cell."""
        return self.source if isinstance(self.source, Query) else None
