"""Sets of resource names, one object for equal sets: thousands of streams ask for the same ten thousand names."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final
from weakref import WeakValueDictionary

Names = frozenset[str]
NO_NAMES: Final[Names] = frozenset()

MOST: Final = 100_000  # names of one type on one stream; twice what a mesh of 10 000 services with 4 subsets has
MOST_CHARACTERS: Final = 16 << 20  # all of them together

_known: WeakValueDictionary[int, Names] = WeakValueDictionary()


class TooManyNames(Exception):
    """A client subscribed to more than a stream may hold."""


def interned(names: Iterable[str]) -> Names:
    """The set of these names, the same object as an equal set that somebody holds.

    Raises `TooManyNames` above `MOST` names or `MOST_CHARACTERS`.
    """
    found = frozenset(names)
    if not found:
        return NO_NAMES
    known = _known.get(hash(found))
    if known == found:
        return known
    if len(found) > MOST or sum(map(len, found)) > MOST_CHARACTERS:
        raise TooManyNames(
            f"a stream may subscribe to {MOST} names ({MOST_CHARACTERS} characters) of one type, not to {len(found)}"
        )
    found = frozenset(map(sys.intern, found))
    _known[hash(found)] = found
    return found
