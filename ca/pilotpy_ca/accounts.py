"""What replicas of one authority tell each other: who has which certificate of theirs, and who trusts which roots.

From a replica's ledger to bytes that the others read, and from what all have told to the evidence of a rotation. A
replica tells its account first and its standing afterwards: what it gave before the standing is in the account, and
what it gives from then on is by that signer and comes with those roots. So what it has not told yet holds no step up.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from pilotpy_ca.errors import StorageError
from pilotpy_ca.ledger import Issued, Ledger

_LONGEST: Final = 64 << 20  # bytes of one account, unpacked


class Standing(msgspec.Struct, frozen=True):
    """What one replica does now."""

    signer: str  # the id of the one that it signs with
    roots: tuple[str, ...]  # fingerprints of what comes with its certificates
    beat: int = 0  # grows as long as the replica lives
    told: bool = True  # whether its account holds all that it gave before


class _Line(msgspec.Struct, array_like=True):
    serial: str  # in hex digits: JSON has no integers of that size
    names: tuple[str, ...]
    holder: str
    begins: int  # in Unix time
    ends: int
    signer: int  # which of the account's
    roots: int  # likewise
    in_use: bool


class _Account(msgspec.Struct):
    signers: list[str]
    roots: list[list[str]]
    certificates: list[_Line]
    reported: dict[str, int]


def account(ledger: Ledger) -> bytes:
    """All that a ledger knows: some 50 bytes for each certificate."""
    signers: dict[str, int] = {}
    roots: dict[frozenset[str], int] = {}
    lines = [
        _Line(
            f"{one.serial:x}",
            one.names,
            one.holder,
            int(one.begins.timestamp()),
            int(one.ends.timestamp()),
            signers.setdefault(one.signer_id, len(signers)),
            roots.setdefault(one.roots, len(roots)),
            ledger.in_use(one.serial),
        )
        for one in ledger
    ]
    reported = {holder: roots.setdefault(held, len(roots)) for holder, held in ledger.reported.items()}
    told = _Account(list(signers), [sorted(held) for held in roots], lines, reported)
    return zlib.compress(msgspec.json.encode(told))


def merged(accounts: Mapping[str, bytes]) -> Ledger:
    """One ledger of several replicas' accounts: of a holder's certificates the latest counts, whoever gave it.

    Raises `StorageError` for what is no account; it names the replica.
    """
    ledger, unused = Ledger(), []
    found = [_read(name, one) for name, one in accounts.items()]
    lines = [line for told in found for line in told.lines]
    for one, in_use in sorted(lines, key=lambda line: line[0].begins):
        ledger.add(one)
        if not in_use:
            unused.append(one.serial)
    ledger.revoked(unused)
    for told in found:
        for holder, held in told.reported.items():
            ledger.report(holder, ledger.reported.get(holder, frozenset()) | held)
    return ledger


class Told(NamedTuple):
    """What all replicas have told. Implements `pilotpy_ca.ledger.Evidence`."""

    standings: Mapping[str, Standing]  # by the replica's name
    ledger: Ledger

    def lacking(self, root: str) -> tuple[str, ...]:
        """See `Evidence`. Replicas that do not hand out the root yet, then holders; sorted."""
        return (*self._replicas(lambda one: root not in one.roots), *self.ledger.lacking(root))

    def relying(self, signer_id: str) -> tuple[str, ...]:
        """See `Evidence`. Replicas that still sign with it, then holders; sorted."""
        return (*self._replicas(lambda one: one.signer == signer_id), *self.ledger.relying(signer_id))

    def _replicas(self, behind: Callable[[Standing], bool]) -> tuple[str, ...]:
        return tuple(f"replica {name}" for name, one in sorted(self.standings.items()) if not one.told or behind(one))


class _Read(NamedTuple):
    lines: list[tuple[Issued, bool]]  # the certificates, and whether each may be in use
    reported: dict[str, frozenset[str]]


def _read(name: str, told: bytes) -> _Read:
    unpacking = zlib.decompressobj()
    try:
        found = msgspec.json.decode(unpacking.decompress(told, _LONGEST), type=_Account)
        roots = [frozenset(held) for held in found.roots]
        lines = [(_issued(line, found.signers, roots), line.in_use) for line in found.certificates]
        return _Read(lines, {holder: roots[held] for holder, held in found.reported.items()})
    except (zlib.error, msgspec.DecodeError, LookupError, ValueError, ArithmeticError, OSError) as error:
        raise StorageError(f"what replica {name} has told is not an account: {error}") from None


def _issued(line: _Line, signers: Sequence[str], roots: Sequence[frozenset[str]]) -> Issued:
    begins, ends = (datetime.fromtimestamp(at, UTC) for at in (line.begins, line.ends))
    return Issued(int(line.serial, 16), signers[line.signer], line.names, line.holder, begins, ends, roots[line.roots])
