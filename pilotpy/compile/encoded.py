"""Encoded resources: names, digests and ropes of shared bytes, and trees of them.

Repeated and length-delimited protobuf fields concatenate, so a large message is a rope of
fragments that many views share, joined only when it is sent. A digest is made of the digests
below it: equal digest, equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

_SIZE: Final = 16


class Rope:
    """Immutable bytes in shared pieces. Compared by digest."""

    __slots__ = ("digest", "pieces", "size")

    def __init__(self, pieces: Iterable[bytes | Rope]) -> None:
        self.pieces: tuple[bytes | Rope, ...] = tuple(pieces)
        self.digest: bytes
        self.size: int
        hasher = blake2b(digest_size=_SIZE)
        size = 0
        for piece in self.pieces:
            if isinstance(piece, Rope):
                hasher.update(b"r" + piece.digest)
                size += piece.size
            else:
                hasher.update(b"b%d:" % len(piece))
                hasher.update(piece)
                size += len(piece)
        self.digest = hasher.digest()
        self.size = size

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces in order, flattened."""
        for piece in self.pieces:
            if isinstance(piece, Rope):
                yield from piece
            else:
                yield piece

    def __bytes__(self) -> bytes:
        return b"".join(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rope) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


class Encoded:
    """One resource in wire format (the message itself, not yet in an Any). Compared by digest."""

    __slots__ = ("body", "digest", "name")

    def __init__(self, name: str, body: bytes | Rope) -> None:
        self.name = name
        self.body = body
        hasher = blake2b(name.encode(), digest_size=_SIZE)
        hasher.update(body.digest if isinstance(body, Rope) else blake2b(body, digest_size=_SIZE).digest())
        self.digest = hasher.digest()

    @property
    def size(self) -> int:
        """Length of the body in bytes."""
        return self.body.size if isinstance(self.body, Rope) else len(self.body)

    def __bytes__(self) -> bytes:
        return bytes(self.body)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Encoded) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<encoded {self.name} {self.size} bytes>"


class Tree:
    """A collection of encoded resources in shared branches. Compared by digest.

    Iterates in the order of its branches. Where a name occurs twice the first one counts;
    whoever joins trees sees to it that branches do not overlap.
    """

    __slots__ = ("branches", "count", "digest")

    def __init__(self, branches: Iterable[Encoded | Tree]) -> None:
        self.count: int
        self.digest: bytes
        self.branches = tuple(b for b in branches if isinstance(b, Encoded) or b.count)
        self.count = sum(1 if isinstance(b, Encoded) else b.count for b in self.branches)
        self.digest = blake2b(b"".join(b.digest for b in self.branches), digest_size=_SIZE).digest()

    def __iter__(self) -> Iterator[Encoded]:
        for branch in self.branches:
            if isinstance(branch, Encoded):
                yield branch
            else:
                yield from branch

    def __len__(self) -> int:
        return self.count

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


EMPTY: Final = Tree(())


def differences(old: Tree, new: Tree) -> tuple[dict[str, Encoded], list[str]]:
    """Return (resources of ``new`` that are new or changed, sorted names that are gone).

    Branches with equal digests are not entered, so the cost is that of what changed.
    """
    before: dict[str, Encoded] = {}
    after: dict[str, Encoded] = {}
    _unshared(old, new, before, after)
    changed = {name: resource for name, resource in after.items() if before.get(name) != resource}
    return changed, sorted(before.keys() - after.keys())


def _unshared(old: Tree, new: Tree, before: dict[str, Encoded], after: dict[str, Encoded]) -> None:
    if old.digest == new.digest:
        return
    mine = {branch.digest for branch in new.branches}
    theirs = {branch.digest for branch in old.branches}
    gone = [b for b in old.branches if b.digest not in mine]
    came = [b for b in new.branches if b.digest not in theirs]
    # Two branches that took each other's place are compared inside, so one edit deep down costs a path.
    pairs = min(len(gone), len(came))
    for index, branch in enumerate(gone):
        other = came[index] if index < pairs else EMPTY
        _compared(branch, other, before, after)
    for branch in came[pairs:]:
        _compared(EMPTY, branch, before, after)


def _compared(old: Encoded | Tree, new: Encoded | Tree, before: dict[str, Encoded], after: dict[str, Encoded]) -> None:
    if isinstance(old, Tree) and isinstance(new, Tree):
        _unshared(old, new, before, after)
        return
    for branch, into in ((old, before), (new, after)):
        for resource in (branch,) if isinstance(branch, Encoded) else branch:
            into.setdefault(resource.name, resource)
