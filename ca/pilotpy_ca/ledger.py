"""What was issued, to whom, with which roots: the evidence that a rotation waits for, and what a revocation needs.

A holder is one proxy, named `<pod>.<namespace>` where the caller's token tells (a Pod of another cluster is
`<pod>@<cluster>`: one here may be called alike). Its next certificate replaces the one before. Where no holder is
known, each certificate counts until it ends: it may be in use, so it is taken to be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol


class Evidence(Protocol):
    """Who holds what, as far as anybody knows. Doubt counts against going on."""

    def lacking(self, root: str) -> Collection[str]:
        """Who is not known to trust a root (by fingerprint) yet, by names for people. Empty: everybody does."""
        ...

    def relying(self, signer_id: str) -> Collection[str]:
        """Who may still show a certificate of a signer. Empty: nobody does."""
        ...


class Issued(NamedTuple):
    """One certificate. Equal serials do not happen."""

    serial: int
    signer_id: str
    names: tuple[str, ...]
    holder: str  # "": not known
    begins: datetime  # when it was issued
    ends: datetime
    roots: frozenset[str]  # fingerprints of the roots that came with it


class Ledger:
    """The certificates that are still valid, and what holders reported. Itself evidence."""

    def __init__(self, issued: Iterable[Issued] = (), settle: timedelta = timedelta(0)) -> None:
        self.revision = 0  # grows whenever anything is noted
        self._settle = settle
        self._ended: dict[int, datetime] = {}  # serial -> when it was first seen to have ended
        self._issued: dict[int, Issued] = {}
        self._in_use: dict[int, Issued] = {}  # the latest of each holder, and all whose holder is not known
        self._latest: dict[tuple[str, tuple[str, ...]], int] = {}
        self._reported: dict[str, frozenset[str]] = {}
        for one in issued:
            self.add(one)

    def add(self, one: Issued) -> None:
        """Note a certificate that was issued."""
        self.revision += 1
        self._issued[one.serial] = self._in_use[one.serial] = one
        if one.holder:
            before = self._latest.get((one.holder, one.names))
            self._latest[one.holder, one.names] = one.serial
            if before is not None:
                self._in_use.pop(before, None)

    def report(self, holder: str, roots: Iterable[str]) -> None:
        """A holder has told which roots (fingerprints) it trusts now: an acknowledged push, an agent's report."""
        self.revision += 1
        self._reported[holder] = frozenset(roots)

    def gone(self, holder: str) -> None:
        """A holder does not exist any more: nothing waits for it. Its certificates can still be revoked."""
        self.revision += 1
        self._reported.pop(holder, None)
        for key in [key for key in self._latest if key[0] == holder]:
            self._in_use.pop(self._latest.pop(key), None)

    def revoked(self, serials: Iterable[int]) -> None:
        """Nobody gets anywhere by these: nothing waits for whoever has them."""
        self.revision += 1
        for serial in serials:
            self._in_use.pop(serial, None)

    def prune(self, now: datetime) -> None:
        """Forget certificates that have ended, and have been seen to have for `settle`: the clock may be wrong."""
        ended = [one for one in self._issued.values() if one.ends <= now]
        self._ended = {one.serial: min(self._ended.get(one.serial, now), now) for one in ended}
        for one in [one for one in ended if now - self._ended[one.serial] >= self._settle]:
            self.revision += 1
            del self._issued[one.serial]
            del self._ended[one.serial]
            self._in_use.pop(one.serial, None)
            if self._latest.get((one.holder, one.names)) == one.serial:
                del self._latest[one.holder, one.names]

    def valid(self, name: str) -> tuple[Issued, ...]:
        """The certificates for a name (a SPIFFE ID) that have not been pruned, in the order of their issue."""
        return tuple(one for one in self._issued.values() if name in one.names)

    def find(self, serial: int) -> Issued | None:
        """The certificate with a serial number, if it is still valid and known."""
        return self._issued.get(serial)

    def copied(self) -> Ledger:
        """The same at this moment, for who takes his time to read it; nothing is to be added."""
        other = Ledger(settle=self._settle)
        other._issued, other._in_use = dict(self._issued), dict(self._in_use)
        other._reported = dict(self._reported)
        return other

    def in_use(self, serial: int) -> bool:
        """Whether a certificate may be in use, as far as is known."""
        return serial in self._in_use

    @property
    def reported(self) -> Mapping[str, frozenset[str]]:
        """The roots (fingerprints) that holders have told that they trust."""
        return self._reported

    def __len__(self) -> int:
        return len(self._issued)

    def __iter__(self) -> Iterator[Issued]:
        return iter(self._issued.values())

    def lacking(self, root: str) -> tuple[str, ...]:
        """See `Evidence`. Sorted, each once."""
        lacking = (one for one in self._in_use.values() if root not in one.roots | self._told(one.holder))
        return tuple(sorted({_called(one) for one in lacking}))

    def relying(self, signer_id: str) -> tuple[str, ...]:
        """See `Evidence`. Sorted, each once."""
        return tuple(sorted({_called(one) for one in self._in_use.values() if one.signer_id == signer_id}))

    def _told(self, holder: str) -> frozenset[str]:
        return self._reported.get(holder, frozenset()) if holder else frozenset()


def _called(one: Issued) -> str:
    return one.holder or f"{', '.join(one.names)} (certificate {one.serial:x})"
