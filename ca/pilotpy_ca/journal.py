"""The journal of an authority: slots and revocations, to files and back, so that a restart resumes where it was.

    journal.json                 the slots in order, each with its phase; revocations
    ca-cert.pem, ca-key.pem      the active signer, as in istiod's Secret istio-ca-secret
    root-cert.pem                all roots that are published
    next-*.pem, old-<n>-*.pem    the other signers
    token-key.pem                the key of the issuer of tokens, if there is one

All of it is written as one. Source of the names: security/pkg/pki/ca/ca.go of istio/istio.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
from cryptography import x509

from pilotpy_ca.certificates import pem
from pilotpy_ca.errors import BundleError, KeyRefused, StorageError
from pilotpy_ca.keys import PrivateKey
from pilotpy_ca.revocation import Revocations, Revoked
from pilotpy_ca.signer import Signer
from pilotpy_ca.slots import Phase, Slot, Slots

_JOURNAL: Final = "journal.json"
_TOKEN_KEY: Final = "token-key.pem"  # noqa: S105  # the name of a file


class State(NamedTuple):
    """What is kept."""

    slots: Slots | None = None  # None: the signer is somebody else's
    revocations: Revocations = Revocations()
    token_key: PrivateKey | None = None


class _SlotEntry(msgspec.Struct):
    file: str  # the start of its files' names
    id: str
    phase: Phase
    since: datetime
    tainted: bool = False
    at_once: bool = False


class _RevokedEntry(msgspec.Struct):
    serial: str  # in hex digits: JSON has no integers of that size
    signer: str
    at: datetime
    ends: datetime
    reason: str = ""


class _Entries(msgspec.Struct):
    slots: list[_SlotEntry]
    revoked: list[_RevokedEntry] = []
    banned: list[str] = []
    crl_number: int = 0
    names: dict[str, datetime] = {}
    form: int = 1


def files_of(state: State) -> dict[str, bytes]:
    """The files that keep a state."""
    files: dict[str, bytes] = {}
    entries: list[_SlotEntry] = []
    for name, slot in _named(state.slots) if state.slots else ():
        files[f"{name}-key.pem"] = slot.signer.key.pem()
        files[f"{name}-cert.pem"] = pem(slot.signer.certificate)
        entries.append(_SlotEntry(name, slot.signer.id, slot.phase, slot.since, slot.tainted, slot.at_once))
    if state.slots is not None:
        files["root-cert.pem"] = b"".join(pem(root) for root in state.slots.roots)
    if state.token_key is not None:
        files[_TOKEN_KEY] = state.token_key.pem()
    revocations = state.revocations
    journal = _Entries(
        entries,
        [
            _RevokedEntry(f"{one.serial:x}", one.signer_id, one.at, one.ends, one.reason)
            for one in sorted(revocations.certificates.values())
        ],
        sorted(revocations.banned),
        revocations.number,
        dict(sorted(revocations.names.items())),
    )
    files[_JOURNAL] = msgspec.json.format(msgspec.json.encode(journal))
    return files


def state_of(files: Mapping[str, bytes], now: datetime) -> State | None:
    """The state that files keep; None if there are none. istiod's two files without a journal are taken over.

    Raises `StorageError` if they do not fit together: a key is never replaced because it could not be read.
    """
    if _JOURNAL not in files:
        if not files.keys() & {"ca-cert.pem", "ca-key.pem"}:
            return None
        return State(Slots.first(_signer(files, "ca"), now), token_key=_token_key(files))
    try:
        journal = msgspec.json.decode(files[_JOURNAL], type=_Entries)
        certificates = {
            int(one.serial, 16): Revoked(int(one.serial, 16), one.signer, one.at, one.ends, one.reason)
            for one in journal.revoked
        }
    except (msgspec.DecodeError, ValueError) as error:
        raise StorageError(f"{_JOURNAL}: {error}") from error
    found = [
        Slot(_signer(files, entry.file), entry.phase, entry.since, entry.tainted, entry.at_once)
        for entry in journal.slots
    ]
    for slot, entry in zip(found, journal.slots, strict=True):
        if slot.signer.id != entry.id:
            raise StorageError(f"{entry.file}-key.pem is {slot.signer.id}; the journal says {entry.id}")
    active, next_, old = ([slot for slot in found if slot.phase is phase] for phase in (Phase.ACTIVE, *_OTHERS))
    if found and (len(active) != 1 or len(next_) > 1):
        raise StorageError(f"{_JOURNAL}: {len(active)} active and {len(next_)} prepared signers")
    return State(
        Slots(active[0], next_[0] if next_ else None, tuple(old)) if found else None,
        Revocations(certificates, frozenset(journal.banned), journal.crl_number, journal.names),
        _token_key(files),
    )


_OTHERS: Final = (Phase.PREPARED, Phase.OLD)


def _named(slots: Slots) -> Iterator[tuple[str, Slot]]:
    """The slots, each with what its files' names start with."""
    yield "ca", slots.active
    if slots.next is not None:
        yield "next", slots.next
    for number, slot in enumerate(slots.old):
        yield f"old-{number}", slot


def _token_key(files: Mapping[str, bytes]) -> PrivateKey | None:
    try:
        return PrivateKey.from_pem(files[_TOKEN_KEY]) if _TOKEN_KEY in files else None
    except KeyRefused as error:
        raise StorageError(f"{_TOKEN_KEY}: {error}") from error


def _signer(files: Mapping[str, bytes], name: str) -> Signer:
    try:
        key, certificate = files[f"{name}-key.pem"], files[f"{name}-cert.pem"]
    except KeyError as missing:
        raise StorageError(f"{missing.args[0]} is missing") from None
    try:
        return Signer(PrivateKey.from_pem(key), x509.load_pem_x509_certificate(certificate))
    except (BundleError, KeyRefused, ValueError) as error:
        raise StorageError(f"{name}-cert.pem and {name}-key.pem: {error}") from error
