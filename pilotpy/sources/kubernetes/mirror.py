"""What a collection holds, as far as it can be used: what the API server sends comes in, changes of objects go out.

An object that breaks keeps what it said last, or, where it protects workloads and nothing good is known of it, is stood
in for by what shuts them; findings say so. What reads the same as before is no change. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final

from pilotpy.model.resource import Finding, Ref, Resource
from pilotpy.schema.closed import told
from pilotpy.sources.change import Change, Origin
from pilotpy.sources.kubernetes.collection import Collection
from pilotpy.sources.kubernetes.wire import Event, Read, named

NOWHERE: Final = Origin("", 0)


class Told(Enum):
    """What the API server may tell of an object, in istiod's words."""

    ADDED = "add"
    CHANGED = "update"
    SAME = "updatesame"  # as far as we read it
    REMOVED = "delete"


class Mirror:
    """The objects of one collection."""

    def __init__(self, collection: Collection, count: Callable[[Told], None] = lambda _: None) -> None:
        """`count` is called for each object that something is told of."""
        self._collection = collection
        self._count = count
        self._objects: dict[Ref, Resource[Any]] = {}
        self._shut: set[Ref] = set()  # objects that something stands in for
        self._findings: dict[Ref | None, tuple[Finding, ...]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    @property
    def objects(self) -> Mapping[Ref, Resource[Any]]:
        """All of them."""
        return self._objects

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the objects now, in no order."""
        return tuple(finding for found in self._findings.values() for finding in found)

    def replace(self, reads: Sequence[Read]) -> list[Change]:
        """Take in all that there is: what is not among it is gone."""
        there = {read.ref for read in reads}
        self._findings.pop(None, None)
        gone = [ref for ref in {*self._objects, *self._findings} if ref is not None and ref not in there]
        changes = [change for ref in gone for change in self._removed(ref)]
        return changes + [change for read in reads for change in self._taken(read)]

    def update(self, events: Iterable[Event]) -> list[Change]:
        """Take in what a watch tells, in its order."""
        changes: list[Change] = []
        for event in events:
            if event.type == "DELETED":
                changes += self._removed(named(event.object).metadata.ref(self._collection.called))
            elif event.type in {"ADDED", "MODIFIED"}:
                changes += self._taken(self._collection.read(event.object))
        return changes

    def _taken(self, read: Read) -> list[Change]:
        if read.findings or read.ref in self._findings:
            self._findings[read.ref] = read.findings
        if read.ref is None:
            return []
        if read.resource is not None:
            self._shut.discard(read.ref)
            return self._put(read.ref, read.resource)
        if read.instead is None or (read.ref in self._objects and read.ref not in self._shut):
            return []
        self._shut.add(read.ref)
        self._findings[read.ref] = (*read.findings, told(read.ref))
        return self._put(read.ref, read.instead)

    def _put(self, ref: Ref, new: Resource[Any]) -> list[Change]:
        old = self._objects.get(ref)
        if old == new:
            self._count(Told.SAME)
            return []
        self._count(Told.ADDED if old is None else Told.CHANGED)
        self._objects[ref] = new
        return [Change(ref, NOWHERE, old, new)]

    def _removed(self, ref: Ref) -> list[Change]:
        self._findings.pop(ref, None)
        self._shut.discard(ref)
        old = self._objects.pop(ref, None)
        if old is None:
            return []
        self._count(Told.REMOVED)
        return [Change(ref, NOWHERE, old, None)]
