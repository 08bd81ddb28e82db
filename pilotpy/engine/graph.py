"""The engine: inputs at revisions, the answers of queries, and what each answer read.

An edit marks the answers that read it, and those that read them, as doubtful. Asking a doubtful
answer looks at its reads in the order in which they were made: if none has changed since, the
answer stands; at the first that has, the query runs again, and an answer that comes out equal
stops the wave there. The engine has one writer and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from pilotpy.engine.inputs import Index, Kind
from pilotpy.engine.query import Key, Query

P = ParamSpec("P")
T = TypeVar("T")


class Cycle(Exception):
    """A query asked for its own answer."""


class OutOfTime(BaseException):
    """The deadline of an ask has passed. Answers that were complete are kept; ask again."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A note: this query raised, and its declared stand-in was used."""

    query: str
    key: Key
    reason: str


class Put(NamedTuple):
    """One write: the new object of a kind at a key, or None to drop it."""

    kind: Kind[Any]
    key: Key
    value: object | None


@dataclass(slots=True)
class Work:
    """What the engine has done so far. Differences are exact, so tests may assert them."""

    marks: int = 0  # answers that became doubtful
    runs: int = 0  # queries that ran
    equal: int = 0  # runs whose answer came out equal to the one before

    def since(self, before: Work) -> Work:
        """Return the work done after ``before`` was copied."""
        return Work(self.marks - before.marks, self.runs - before.runs, self.equal - before.equal)

    def copy(self) -> Work:
        """Return these counts as they are now."""
        return Work(self.marks, self.runs, self.equal)


class _Raised:
    """A query's exception, kept as its answer so that its reads are remembered too."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Raised) and repr(self.error) == repr(other.error)

    __hash__ = None  # type: ignore[assignment]  # compared, never a key


class _Node:
    """One input cell or one answer: its value, what it read, and who read it."""

    __slots__ = (
        "changed",
        "doubtful",
        "held",
        "key",
        "notes",
        "query",
        "readers",
        "reads",
        "running",
        "value",
        "verified",
    )

    def __init__(self, query: Query[..., Any] | None, key: Key) -> None:
        self.query = query  # None: an input cell
        self.key = key
        self.value: Any = None
        self.reads: dict[_Node, None] = {}
        self.readers: set[_Node] = set()
        self.notes: tuple[object, ...] = ()
        self.changed = -1  # revision at which the value last came out different
        self.verified = -1  # revision at which it was last known to be right
        self.doubtful = True
        self.running = False
        self.held = 0


class _Table:
    """The objects of one kind and their indexes."""

    __slots__ = ("indexes", "objects")

    def __init__(self) -> None:
        self.objects: dict[Key, Any] = {}
        self.indexes: dict[Index[Any], dict[Hashable, dict[Key, Any]]] = {}


class Engine:
    """Keeps inputs and answers; see the module's docstring. Not shared between threads."""

    def __init__(self) -> None:
        self.revision = 0
        self.work = Work()
        self._tables: dict[Kind[Any], _Table] = {}
        self._nodes: dict[tuple[object, ...], _Node] = {}
        self._woken: dict[_Node, None] = {}
        self._reads: dict[_Node, None] = {}
        self._notes: list[object] = []
        self._stop: Callable[[], bool] | None = None

    # -- inputs ------------------------------------------------------------------------------

    def apply(self, puts: Iterable[Put]) -> int:
        """Write objects as one revision and return it; nothing unequal written, no new revision."""
        touched: dict[tuple[object, ...], None] = {}
        for put in puts:
            table = self._table(put.kind)
            old = table.objects.get(put.key)
            if old is not None and put.value is not None and old == put.value:
                continue
            if old is None and put.value is None:
                continue
            if put.value is None:
                del table.objects[put.key]
            else:
                table.objects[put.key] = put.value
            touched[(put.kind, put.key)] = None
            for index, buckets in table.indexes.items():
                self._reindex(index, buckets, put.key, old, put.value, touched)
        if not touched:
            return self.revision
        self.revision += 1
        for cell in touched:
            node = self._nodes.get(cell)
            if node is not None:
                self._refresh(node)
        return self.revision

    def objects(self, kind: Kind[T]) -> Iterator[tuple[Key, T]]:
        """Iterate over a kind's objects, unsorted: for edges and tests; queries cannot scan."""
        yield from list(self._table(kind).objects.items())

    def _table(self, kind: Kind[Any]) -> _Table:
        table = self._tables.get(kind)
        if table is None:
            table = self._tables[kind] = _Table()
        return table

    def _buckets(self, index: Index[Any]) -> dict[Hashable, dict[Key, Any]]:
        table = self._table(index.kind)
        buckets = table.indexes.get(index)
        if buckets is None:
            buckets = table.indexes[index] = {}
            for key, value in table.objects.items():
                for bucket in index.keys_of(value):
                    buckets.setdefault(bucket, {})[key] = value
        return buckets

    def _reindex(
        self,
        index: Index[Any],
        buckets: dict[Hashable, dict[Key, Any]],
        key: Key,
        old: object | None,
        new: object | None,
        touched: dict[tuple[object, ...], None],
    ) -> None:
        before = dict.fromkeys(index.keys_of(old)) if old is not None else {}
        after = dict.fromkeys(index.keys_of(new)) if new is not None else {}
        for bucket in before:
            if bucket not in after:
                members = buckets[bucket]
                del members[key]
                if not members:
                    del buckets[bucket]
                    touched[(index, "buckets", None)] = None
                touched[(index, "keys", bucket)] = None
            touched[(index, "by", bucket)] = None
        for bucket in after:
            found = buckets.get(bucket)
            if found is None:
                found = buckets[bucket] = {}
                touched[(index, "buckets", None)] = None
            if bucket not in before:
                touched[(index, "keys", bucket)] = None
            touched[(index, "by", bucket)] = None
            found[key] = new

    def _cell(self, cell: tuple[object, ...]) -> _Node:
        node = self._nodes[cell] = _Node(None, cell)  # type: ignore[arg-type]  # a cell's key names kinds too
        node.value = self._stored(cell)
        node.changed = node.verified = self.revision
        node.doubtful = False
        return node

    def _stored(self, cell: tuple[object, ...]) -> object:
        if len(cell) == 2:
            kind, key = cast("tuple[Kind[Any], Key]", cell)
            return self._table(kind).objects.get(key)
        index, way, bucket = cast("tuple[Index[Any], str, Hashable]", cell)
        buckets = self._buckets(index)
        if way == "buckets":
            return tuple(sorted(cast("Iterable[Any]", buckets)))
        members = buckets.get(bucket, {})
        keys = sorted(cast("Iterable[Any]", members))
        return tuple(keys) if way == "keys" else tuple(members[key] for key in keys)

    def _refresh(self, cell: _Node) -> None:
        cell.value = self._stored(cell.key)
        cell.changed = cell.verified = self.revision
        stack = list(cell.readers)
        while stack:
            node = stack.pop()
            if node.doubtful:
                continue
            node.doubtful = True
            self.work.marks += 1
            if node.held:
                self._woken[node] = None
            stack.extend(node.readers)

    # -- answers -----------------------------------------------------------------------------

    def ask(self, query: Query[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the answer at the current revision, running only what must run."""
        assert not kwargs, "a query's key is positional"
        outer, self._reads = self._reads, {}
        try:
            return cast("T", self(query, *args))
        finally:
            self._reads = outer

    def ask_until(
        self, stop: Callable[[], bool], query: Query[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As ``ask``, but raise ``OutOfTime`` between two queries once ``stop()`` is true."""
        self._stop = stop
        try:
            return self.ask(query, *args, **kwargs)
        finally:
            self._stop = None

    def __call__(self, query: Query[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Answer a read of a running query (``q(query, ...)``)."""
        node = self._nodes.get((query, args))
        if node is None:
            node = self._nodes[(query, args)] = _Node(query, args)
        if node.doubtful:
            self._make_sure(node)
        self._reads[node] = None
        value = node.value
        if value.__class__ is _Raised:
            raise value.error
        return cast("T", value)

    def get(self, kind: Kind[T], /, *key: Hashable) -> T | None:
        """Answer ``q.get``."""
        return cast("T | None", self._read((kind, key)))

    def by(self, index: Index[T], key: Hashable, /) -> tuple[T, ...]:
        """Answer ``q.by``."""
        return cast("tuple[T, ...]", self._read((index, "by", key)))

    def keys(self, index: Index[T], key: Hashable, /) -> tuple[tuple[Hashable, ...], ...]:
        """Answer ``q.keys``."""
        return cast("tuple[tuple[Hashable, ...], ...]", self._read((index, "keys", key)))

    def buckets(self, index: Index[T], /) -> tuple[Hashable, ...]:
        """Answer ``q.buckets``."""
        return cast("tuple[Hashable, ...]", self._read((index, "buckets", None)))

    def note(self, note: object, /) -> None:
        """Answer ``q.note``."""
        self._notes.append(note)

    def _read(self, cell: tuple[object, ...]) -> object:
        node = self._nodes.get(cell)
        if node is None:
            node = self._cell(cell)
        self._reads[node] = None
        return node.value

    def _make_sure(self, node: _Node) -> None:
        if node.running:
            raise Cycle(f"{node.query!r}{node.key!r} needs its own answer")
        if node.verified >= 0:
            verified = node.verified
            node.running = True
            try:
                for read in node.reads:
                    if read.doubtful:
                        self._make_sure(read)
                    if read.changed > verified:
                        break
                else:
                    node.verified = self.revision
                    node.doubtful = False
                    return
            finally:
                node.running = False
        self._run(node)

    def _run(self, node: _Node) -> None:
        if self._stop is not None and self._stop():
            raise OutOfTime
        query = node.query
        assert query is not None, "input cells are never doubtful"
        outer_reads, outer_notes = self._reads, self._notes
        self._reads, self._notes = {}, []
        node.running = True
        try:
            value = self._outcome(query, node.key)
            reads, notes = self._reads, self._notes
        finally:
            node.running = False
            self._reads, self._notes = outer_reads, outer_notes
        self.work.runs += 1
        for read in node.reads:
            if read not in reads:
                read.readers.discard(node)
        for read in reads:
            read.readers.add(node)
        node.reads = reads
        node.notes = tuple(notes)
        if node.verified >= 0 and node.value == value:
            self.work.equal += 1
        else:
            node.changed = self.revision
        node.value = value
        node.verified = self.revision
        node.doubtful = False

    def _outcome(self, query: Query[..., Any], key: Key) -> object:
        try:
            return query.run(self, *key)
        except Cycle:
            raise
        except Exception as error:  # a leaf's boundary: what fails inside it stays inside it
            if query.otherwise is None:
                return _Raised(error)
            self._notes.append(Failure(query.name, key, f"{type(error).__name__}: {error}"))
            return query.otherwise(*key)

    # -- who wants to know ---------------------------------------------------------------------

    def hold(self, query: Query[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask, and from now on report in ``woken`` when the answer becomes doubtful."""
        answer = self.ask(query, *args, **kwargs)
        self._nodes[(query, args)].held += 1
        return answer

    def release(self, query: Query[P, T], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Undo one ``hold``."""
        assert not kwargs, "a query's key is positional"
        self._nodes[(query, args)].held -= 1

    def woken(self) -> list[tuple[Query[..., Any], Key]]:
        """Return the held answers that became doubtful since the last call, oldest first."""
        woken, self._woken = self._woken, {}
        return [(node.query, node.key) for node in woken if node.query is not None]

    def notes(self, query: Query[P, T], /, *args: P.args, **kwargs: P.kwargs) -> list[object]:
        """Ask, then return the notes of this answer and of all that it read; each node once."""
        self.ask(query, *args, **kwargs)
        found: list[object] = []
        seen: set[_Node] = set()
        stack = [self._nodes[(query, args)]]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            found.extend(node.notes)
            stack.extend(reversed(node.reads))
        return found
