"""``q``: what a running query reads through. Every read is recorded, misses included."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ParamSpec, Protocol, TypeVar

from pilotpy.engine.inputs import Index, Kind
from pilotpy.engine.query import Query

P = ParamSpec("P")
T = TypeVar("T")


class Asking(Protocol):
    """The reads and notes that a query may make. Valid only while that query runs."""

    def __call__(self, query: Query[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the answer of another query. Keyword arguments are refused: they are no key."""
        ...

    def get(self, kind: Kind[T], /, *key: Hashable) -> T | None:
        """Return one object, or None; its later arrival is noticed."""
        ...

    def by(self, index: Index[T], key: Hashable, /) -> tuple[T, ...]:
        """Return the objects of one bucket, sorted by their keys; may be empty."""
        ...

    def keys(self, index: Index[T], key: Hashable, /) -> tuple[tuple[Hashable, ...], ...]:
        """Return the keys of one bucket's objects, sorted. Edits of the objects are not noticed."""
        ...

    def buckets(self, index: Index[T], /) -> tuple[Hashable, ...]:
        """Return the keys of all buckets that are not empty, sorted."""
        ...

    def note(self, note: object, /) -> None:
        """Leave a finding or a provenance with this answer, outside its value and its equality."""
        ...
