"""How much a server may say of one kind of objects: in a list, and as much again in what changes until the next one.

What it says is held in memory, so whoever can make it say more can take all of that. No I/O.
"""

from __future__ import annotations

import sys
from typing import Final, NamedTuple


class Bound(NamedTuple):
    """What is listened to at most."""

    objects: int
    bytes: int  # of JSON
    page: int  # bytes of an answer that is a page of a list


UNBOUND: Final = Bound(sys.maxsize, sys.maxsize, sys.maxsize)
"""For the cluster that this control plane is part of: who rules it, rules this."""

GENEROUS: Final = Bound(objects=200_000, bytes=2**30, page=2**26)
"""For others. Kubernetes is made for 150 000 Pods, of some kilobytes each."""


class Room:
    """What has been said."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._objects = self._bytes = 0

    def clear(self) -> None:
        """A list begins, or has ended."""
        self._objects = self._bytes = 0

    def take(self, objects: int, size: int) -> str:
        """Some more is said. Returns what is too much of it; "" if nothing is."""
        self._objects += objects
        self._bytes += size
        if self._objects > self._bound.objects:
            return f"more than {self._bound.objects} objects"
        return f"more than {self._bound.bytes} bytes" if self._bytes > self._bound.bytes else ""
