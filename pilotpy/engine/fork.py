"""A fork: what the answers would be if some inputs were different. The engine below stays as it is."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, ParamSpec, TypeVar

from pilotpy.engine.graph import Engine
from pilotpy.engine.node import Node, Source
from pilotpy.engine.query import Key, Query
from pilotpy.engine.store import Cell, Overlay

P = ParamSpec("P")
T = TypeVar("T")


class Stale(Exception):
    """The engine below has moved to another revision; make a new fork."""


class Fork(Engine):
    """An overlay on one revision of an engine.

    Answers that the overlay's inputs do not touch are borrowed from below; only the others are
    copied, doubted and asked again here. The engine below may go on answering, but not change.
    """

    def __init__(self, below: Engine) -> None:
        assert not isinstance(below, Fork), "apply more to the fork instead of forking it"
        self._overlay = Overlay(below._store)  # noqa: SLF001  # a fork is the engine's other half
        super().__init__(self._overlay)
        self._below = below
        self.revision = self._pinned = below.revision
        self._ran_below = below.work.runs
        self._borrowed: dict[Node, set[Node]] = {}  # node below -> nodes here that read it

    def ask(self, query: Query[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the answer as it would be, as ``Engine.ask``. Raises ``Stale`` too."""
        if self._below.revision != self._pinned:
            raise Stale(f"the engine below went from revision {self._pinned} to {self._below.revision}")
        return super().ask(query, *args, **kwargs)

    def _rewritten(self, touched: Iterable[Cell]) -> list[Node]:
        cells = list(touched)
        below = self._below._nodes  # noqa: SLF001  # its other half
        self._copy_readers_of([node for read, key in cells if (node := below[read].get(key)) is not None])
        for cell in cells:
            read, key = cell
            if key not in self._nodes[read]:
                super()._cell(cell)  # nobody has read it yet; below, somebody may from now on
        return super()._rewritten(cells)

    def _lent(self, source: Source, key: Hashable) -> Node | None:
        below = self._below._nodes  # noqa: SLF001  # its other half
        return None if key in self._nodes[source] else below[source].get(key)

    def _copy_readers_of(self, cells: Iterable[Node]) -> None:
        """Copy these nodes and, transitively, their readers below, so that they can be doubted here."""
        copies: dict[Node, Node] = {}
        seen: set[Node] = set()
        stack = list(cells)
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            own = self._nodes[node.source]
            if node.key not in own:
                copies[node] = own[node.key] = self._copy(node)
            stack.extend(node.readers)  # of a node known here, too: they may still be borrowed
        for node, copy in copies.items():
            copy.reads = tuple(self._nodes[read.source].get(read.key, read) for read in node.reads)
            for read in copy.reads:
                self._enter(copy, read)
        for node, copy in copies.items():
            for reader in self._borrowed.pop(node, ()):
                reader.reads = tuple(copy if read is node else read for read in reader.reads)
                copy.add_reader(reader)

    def _copy(self, node: Node) -> Node:
        copy = Node(self, node.source, node.key)
        copy.value, copy.notes = node.value, node.notes
        copy.changed, copy.verified, copy.doubtful = node.changed, node.verified, node.doubtful
        return copy

    def _asked(self, query: Query[..., Any], args: Key) -> Node:
        lent = self._lent(query, args)
        # What ran below after the fork was made may have read inputs that are different here.
        if lent is not None and not lent.doubtful and lent.ran <= self._ran_below:
            return lent
        return super()._asked(query, args)

    def _cell(self, cell: Cell) -> Node:
        # Below, an index may have been built and read only after the fork wrote to its kind.
        lent = None if self._overlay.wrote(cell) else self._lent(*cell)
        return lent or super()._cell(cell)

    def _link(self, node: Node, old: Iterable[Node], new: dict[Node, None]) -> None:
        for read in old:
            if read in new:
                continue
            if read.owner is self:
                read.drop_reader(node)
            else:
                self._borrowed.get(read, set()).discard(node)
        for read in new:
            self._enter(node, read)

    def _enter(self, reader: Node, read: Node) -> None:
        if read.owner is self:
            read.add_reader(reader)
        else:
            self._borrowed.setdefault(read, set()).add(reader)
