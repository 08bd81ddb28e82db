"""The engine: inputs at revisions, the answers of queries, and what each answer read.

An edit marks the answers that read it, and those that read them, as doubtful. Asking a doubtful
answer looks at its reads in the order in which they were made: if none has changed since, the
answer stands; at the first that has, the query runs again, and an answer that comes out equal
stops the wave there. The engine has one writer and no clock, and is not shared between threads.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import chain
from typing import Any, ParamSpec, TypeVar, cast

from pilotpy.engine.inputs import Index, Kind, Put
from pilotpy.engine.node import Cycle, Failure, Node, OutOfTime, Raised, Source, Work
from pilotpy.engine.query import Key, Query
from pilotpy.engine.store import BUCKETS, BY, KEYS, Cell, Input, Store

P = ParamSpec("P")
T = TypeVar("T")

_FAILURES = 100


class Engine:
    """Keeps inputs and answers. It is also the ``q`` that running queries read through."""

    def __init__(self, store: Store | None = None) -> None:
        self.revision = 0
        self.work = Work()
        self._store = store if store is not None else Store()
        self._nodes: defaultdict[Source, dict[Hashable, Node]] = defaultdict(dict)  # by key
        self._woken: dict[Node, None] = {}
        self._failed: deque[Failure] = deque(maxlen=_FAILURES)
        self._reads: dict[Node, None] = {}  # of the query that runs now
        self._notes: list[object] = []
        self._noted: dict[Node, None] = {}  # answers with notes
        self._stop: Callable[[], bool] | None = None

    # -- inputs --------------------------------------------------------------------------------

    def apply(self, puts: Iterable[Put]) -> int:
        """Write objects as one revision and return it. Nothing unequal written: no new revision."""
        touched = self._store.apply(puts)
        if touched:
            self.revision += 1
            self._doubt(self._rewritten(touched))
        return self.revision

    def objects(self, kind: Kind[T]) -> Iterator[tuple[Key, T]]:
        """Iterate over a kind's objects, unsorted. For edges and tests: a query cannot scan."""
        return iter(list(self._store.objects(kind).items()))

    def _rewritten(self, touched: Iterable[Cell]) -> list[Node]:
        cells = [node for read, key in touched if (node := self._nodes[read].get(key)) is not None]
        for cell in cells:
            cell.value = self._store.value(cast("Cell", (cell.source, cell.key)))
            cell.changed = cell.verified = self.revision
        return cells

    def _doubt(self, changed: Iterable[Node]) -> None:
        stack = [reader for node in changed for reader in node.readers]
        while stack:
            node = stack.pop()
            if node.doubtful:
                continue
            node.doubtful = True
            self.work.marks += 1
            if node.held:
                self._woken[node] = None
            stack.extend(node.readers)

    # -- asking --------------------------------------------------------------------------------

    def ask(self, query: Query[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the answer at the current revision, running only what must run.

        Raises what the query raises, and ``Cycle``.
        """
        reads, self._reads = self._reads, {}
        try:
            return self(query, *args, **kwargs)
        finally:
            self._reads = reads

    def ask_until(self, stop: Callable[[], bool], query: Query[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As ``ask``, but raise ``OutOfTime`` between two queries once ``stop()`` is true."""
        self._stop = stop
        try:
            return self.ask(query, *args, **kwargs)
        finally:
            self._stop = None

    def hold(self, query: Query[P, T], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Keep an answer, and from now on name it in ``woken`` when it becomes doubtful."""
        assert not kwargs, "a query's key is positional"
        node = self._node(query, args)
        node.held += 1
        if node.doubtful:
            self._woken[node] = None

    def release(self, query: Query[P, T], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Undo one ``hold``."""
        assert not kwargs, "a query's key is positional"
        node = self._node(query, args)
        assert node.held, "released more often than held"
        node.held -= 1
        if not node.held:
            self._woken.pop(node, None)

    def woken(self) -> list[tuple[Query[..., Any], Key]]:
        """Return the held answers that are to be asked again, and forget them: each once, oldest first."""
        woken, self._woken = self._woken, {}
        return [(node.query, node.key) for node in woken if node.query is not None]

    def failed(self) -> list[Failure]:
        """Return the failures of declared leaves, and forget them: oldest first, at most the last 100."""
        failed = list(self._failed)
        self._failed.clear()
        return failed

    def notes(self, query: Query[P, T], /, *args: P.args, **kwargs: P.kwargs) -> list[object]:
        """Ask, then return the notes of this answer and of all that it read; each answer's once."""
        self.ask(query, *args, **kwargs)
        found: list[object] = []
        seen: set[Node] = set()
        stack = [self._node(query, args)]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            found.extend(node.notes)
            stack.extend(reversed(node.reads))
        return found

    def noted(self) -> Iterator[object]:
        """The notes of all answers that are up to date and that somebody holds or reads; each answer's once.

        Costs a look at the answers that have any, where ``notes`` goes through all that an answer has read.
        """
        for node in self._noted:
            if not node.doubtful and (node.held or node.readers):
                yield from node.notes

    def sweep(self, grace: int = 1) -> int:
        """Drop answers that nobody held, read or asked for during more than ``grace`` sweeps.

        Returns how many nodes went. What only they read goes with them.
        """
        stack = []
        for node in chain.from_iterable(nodes.values() for nodes in self._nodes.values()):
            if node.readers or node.held:
                continue
            node.idle += 1
            if node.idle > grace:
                stack.append(node)
        dropped = 0
        while stack:
            node = stack.pop()
            del self._nodes[node.source][node.key]
            self._noted.pop(node, None)
            dropped += 1
            self._link(node, node.reads, {})
            stack.extend(read for read in node.reads if not read.readers and not read.held and read.owner is self)
            node.reads = ()
        return dropped

    # -- what a running query reads through (``Asking``) -----------------------------------------

    def __call__(self, query: Query[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Answer ``q(query, ...)``."""
        assert not kwargs, "a query's key is positional"
        node = self._nodes[query].get(args) or self._asked(query, args)
        if node.doubtful:
            self._make_sure(node)
        node.idle = 0
        self._reads[node] = None
        if node.value.__class__ is Raised:
            raise node.value.error
        value: T = node.value
        return value

    def get(self, kind: Kind[T], /, *key: Hashable) -> T | None:
        """Answer ``q.get``."""
        found: T | None = self._read(kind, key)
        return found

    def by(self, index: Index[T], key: Hashable, /) -> tuple[T, ...]:
        """Answer ``q.by``."""
        found: tuple[T, ...] = self._read((index, BY), key)
        return found

    def keys(self, index: Index[T], key: Hashable, /) -> tuple[tuple[Hashable, ...], ...]:
        """Answer ``q.keys``."""
        found: tuple[Key, ...] = self._read((index, KEYS), key)
        return found

    def buckets(self, index: Index[T], /) -> tuple[Hashable, ...]:
        """Answer ``q.buckets``."""
        found: tuple[Hashable, ...] = self._read((index, BUCKETS), None)
        return found

    def note(self, note: object, /) -> None:
        """Answer ``q.note``."""
        self._notes.append(note)

    def _read(self, read: Input, key: Hashable) -> Any:  # who reads knows what lies there
        node = self._nodes[read].get(key) or self._cell((read, key))
        self._reads[node] = None
        return node.value

    # -- the graph -------------------------------------------------------------------------------

    def _node(self, query: Query[..., Any], args: Key) -> Node:
        return self._nodes[query].get(args) or self._asked(query, args)

    def _asked(self, query: Query[..., Any], args: Key) -> Node:
        """Return the node of a query that was not asked here yet."""
        node = self._nodes[query][args] = Node(self, query, args)
        return node

    def _cell(self, cell: Cell) -> Node:
        read, key = cell
        node = self._nodes[read][key] = Node(self, read, key)
        node.value = self._store.value(cell)
        node.changed = node.verified = self.revision
        node.doubtful = False
        return node

    def _make_sure(self, node: Node) -> None:
        if node.running:
            raise Cycle(f"{node.query!r}{node.key!r} needs its own answer")
        if node.verified >= 0 and self._stands(node):
            node.verified = self.revision
            node.doubtful = False
        else:
            self._run(node)

    def _stands(self, node: Node) -> bool:
        node.running = True
        try:
            for read in node.reads:
                # In order: a later read may only have been made because of what an earlier one said.
                if read.doubtful:
                    self._make_sure(read)
                if read.changed > node.verified:
                    return False
            return True
        finally:
            node.running = False

    def _run(self, node: Node) -> None:
        if self._stop is not None and self._stop():
            raise OutOfTime
        outer = self._reads, self._notes
        self._reads, self._notes = {}, []
        node.running = True
        try:
            value = self._outcome(node)
            reads, notes = self._reads, self._notes
        finally:
            node.running = False
            self._reads, self._notes = outer
        self.work.runs += 1
        node.ran = self.work.runs
        read = tuple(reads)
        if read != node.reads:
            self._link(node, node.reads, reads)
            node.reads = read
        node.notes = tuple(notes)
        if notes:
            self._noted[node] = None
        else:
            self._noted.pop(node, None)
        if node.verified >= 0 and node.value == value:
            self.work.equal += 1
        else:
            node.changed = self.revision
        node.value = value
        node.verified = self.revision
        node.doubtful = False

    def _outcome(self, node: Node) -> object:
        query = node.query
        assert query is not None, "an input cell is never doubtful"
        try:
            return query.run(self, *node.key)
        except Cycle:
            raise
        except Exception as error:  # noqa: BLE001  # a leaf's boundary: what fails inside it stays inside it
            if query.otherwise is None:
                return Raised(error)
            failure = Failure(query.name, node.key, f"{type(error).__name__}: {error}")
            self._failed.append(failure)
            self._notes.append(failure)
            return query.otherwise(*node.key)

    def _link(self, node: Node, old: Iterable[Node], new: dict[Node, None]) -> None:
        for read in old:
            if read not in new:
                read.drop_reader(node)
        for read in new:
            read.add_reader(node)
