"""Where inputs lie: the objects of each kind, and the buckets of each index that was ever read.

A *cell* is the smallest thing that can be read: a key of an input, which is a kind for objects,
``(index, BY)`` and ``(index, KEYS)`` for buckets, ``(index, BUCKETS)`` for the list of buckets,
whose key is None.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, Final, cast

from pilotpy.engine.inputs import Index, Kind, Put
from pilotpy.engine.query import Key

BY: Final = "by"
KEYS: Final = "keys"
BUCKETS: Final = "buckets"

Input = Kind[Any] | tuple[Index[Any], str]
Cell = tuple[Input, Hashable]
_Buckets = dict[Hashable, tuple[Key, ...]]  # the keys of its objects, sorted; nearly all buckets have one


class Store:
    """Objects and indexes at one revision."""

    def __init__(self) -> None:
        self._objects: dict[Kind[Any], dict[Key, Any]] = {}
        self._indexes: dict[Kind[Any], dict[Index[Any], _Buckets]] = {}

    def objects(self, kind: Kind[Any]) -> Mapping[Key, Any]:
        """Return a kind's objects by key, unsorted; may be empty."""
        return self._objects.get(kind, {})

    def buckets(self, index: Index[Any]) -> Mapping[Hashable, tuple[Key, ...]]:
        """Return the sorted keys in an index' buckets, none of them empty. The first call builds the index."""
        of_kind = self._indexes.setdefault(index.kind, {})
        buckets = of_kind.get(index)
        if buckets is None:
            found: dict[Hashable, list[Key]] = {}
            for key, value in self.objects(index.kind).items():
                for bucket in dict.fromkeys(index.keys_of(value)):
                    found.setdefault(bucket, []).append(key)
            buckets = of_kind[index] = {bucket: tuple(sorted(keys)) for bucket, keys in found.items()}
        return buckets

    def value(self, cell: Cell) -> object:
        """Return what a cell holds now."""
        read, key = cell
        if isinstance(read, Kind):
            return self.objects(read).get(cast("Key", key))
        index, way = read
        buckets = self.buckets(index)
        if way == BUCKETS:
            return tuple(sorted(cast("Iterable[Any]", buckets)))
        keys = buckets.get(key, ())
        if way == KEYS or not keys:
            return keys
        objects = self.objects(index.kind)
        return tuple([objects[key] for key in keys])

    def apply(self, puts: Iterable[Put]) -> dict[Cell, None]:
        """Write objects and return the cells whose values may differ now, in a stable order.

        An object equal to the one before replaces it (it may say elsewhere where it was written)
        and touches nothing.
        """
        touched: dict[Cell, None] = {}
        for kind, key, value in puts:
            old = self._write(kind, key, value)
            if old == value:
                continue
            touched[(kind, key)] = None
            for index, buckets in self._indexes.get(kind, {}).items():
                before = dict.fromkeys(index.keys_of(old)) if old is not None else {}
                after = dict.fromkeys(index.keys_of(value)) if value is not None else {}
                touched.update(dict.fromkeys(((index, BY), bucket) for bucket in (*before, *after)))
                for bucket in before.keys() - after.keys():
                    touched.update(dict.fromkeys(_leave(index, buckets, bucket, key)))
                for bucket in after:
                    touched.update(dict.fromkeys(_enter(index, buckets, bucket, key)))
        return touched

    def _write(self, kind: Kind[Any], key: Key, value: object | None) -> object | None:
        objects = self._objects.setdefault(kind, {})
        old = objects.get(key)
        if value is not None:
            objects[key] = value
        elif old is not None:
            del objects[key]
        return old


def _leave(index: Index[Any], buckets: _Buckets, bucket: Hashable, key: Key) -> Iterator[Cell]:
    keys = buckets[bucket]
    at = bisect_left(cast("Any", keys), key)
    yield (index, KEYS), bucket
    if len(keys) > 1:
        buckets[bucket] = keys[:at] + keys[at + 1 :]
    else:
        del buckets[bucket]
        yield (index, BUCKETS), None


def _enter(index: Index[Any], buckets: _Buckets, bucket: Hashable, key: Key) -> Iterator[Cell]:
    keys = buckets.get(bucket, ())
    at = bisect_left(cast("Any", keys), key)
    if keys[at : at + 1] == (key,):
        return
    buckets[bucket] = (*keys[:at], key, *keys[at:])
    yield (index, KEYS), bucket
    if not keys:
        yield (index, BUCKETS), None


class Overlay(Store):
    """A store that says what it was told itself, and for the rest what the store below says."""

    def __init__(self, below: Store) -> None:
        super().__init__()
        self._below = below

    def wrote(self, cell: Cell) -> bool:
        """Say whether anything was written to the kind that a cell belongs to."""
        read, _ = cell
        return (read if isinstance(read, Kind) else read[0].kind) in self._objects

    def objects(self, kind: Kind[Any]) -> Mapping[Key, Any]:
        """Return a kind's objects, as ``Store.objects``. A kind is copied at its first write."""
        own = self._objects.get(kind)
        return own if own is not None else self._below.objects(kind)

    def buckets(self, index: Index[Any]) -> Mapping[Hashable, tuple[Key, ...]]:
        """Return an index' buckets, as ``Store.buckets``."""
        return super().buckets(index) if index.kind in self._objects else self._below.buckets(index)

    def _write(self, kind: Kind[Any], key: Key, value: object | None) -> object | None:
        if kind not in self._objects:
            # Copying pointers beats merging two layers at every read: 10 000 objects take 0.1 ms,
            # and indexes of the kind are built only if somebody reads through the fork.
            below = self._below._indexes.get(kind, {})  # noqa: SLF001  # a store of its own kind
            self._objects[kind] = dict(self._below.objects(kind))
            self._indexes[kind] = {index: dict(buckets) for index, buckets in below.items()}
        return super()._write(kind, key, value)
