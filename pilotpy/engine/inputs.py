"""Inputs: immutable objects by kind and key, with the indexes that make reads narrow.

A ``Kind`` names a collection, an ``Index`` a second way into it. Both are plain names, made once
at module level; the objects live in an engine. There is no way to read a whole kind: a query
that scans would run again at every change.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from pilotpy.engine.query import Key

T = TypeVar("T")


class Kind(Generic[T]):
    """A collection of input objects. Keys are hashable and sortable, usually (namespace, name)."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<kind {self.name}>"


class Index(Generic[T]):
    """Buckets of a kind's objects: ``keys_of`` says (purely) into which buckets an object falls."""

    __slots__ = ("keys_of", "kind", "name")

    def __init__(self, kind: Kind[T], keys_of: Callable[[T], Iterable[Hashable]], name: str = "") -> None:
        self.kind = kind
        self.keys_of = keys_of
        self.name = name or getattr(keys_of, "__name__", "index")

    def __repr__(self) -> str:
        return f"<index {self.name} of {self.kind.name}>"


class Put(NamedTuple):
    """One write: the new object of a kind at a key, or None to drop it."""

    kind: Kind[Any]
    key: Key
    value: object | None
