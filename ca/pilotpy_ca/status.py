"""How an authority stands, for `show` and for pages: its signers, what a rotation waits for, what ends soon."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from pilotpy_ca.certificates import fingerprint, may_revoke
from pilotpy_ca.keeper import Keeper
from pilotpy_ca.slots import Slot, Slots

_SOON: Final = timedelta(days=30)


class Ending(NamedTuple):
    """A certificate of an authority that has ended, or will soon."""

    signer_id: str
    subject: str
    ends: datetime


class SignerStatus(msgspec.Struct, frozen=True):
    """One signer."""

    id: str
    phase: str
    since: datetime
    subject: str
    key: str
    begins: datetime
    ends: datetime
    root: str  # fingerprint of the root that vouches for it
    self_signed: bool
    tainted: bool


class WaitStatus(msgspec.Struct, frozen=True):
    """What holds a step back."""

    signer: str
    step: str
    holders: tuple[str, ...]


class Status(msgspec.Struct, frozen=True):
    """All of it. Nothing here is secret."""

    trust_domain: str
    signers: tuple[SignerStatus, ...]  # the active one first
    roots: tuple[str, ...]  # fingerprints of all roots that are published
    waits: tuple[WaitStatus, ...]
    certificates: int  # issued and not ended
    revoked: int
    banned: tuple[str, ...]  # sorted
    warnings: tuple[str, ...]


def status(keeper: Keeper, now: datetime) -> Status:
    """How it stands now."""
    authority = keeper.authority
    return Status(
        trust_domain=keeper.terms.trust_domain,
        signers=tuple(map(_signer, authority.slots.all)),
        roots=tuple(sorted(authority.root_fingerprints)),
        waits=tuple(WaitStatus(*wait) for wait in keeper.waits()),
        certificates=len(keeper.ledger),
        revoked=len(authority.revocations.certificates),
        banned=tuple(sorted(authority.revocations.banned)),
        warnings=tuple(_warnings(keeper, now)),
    )


def endings(slots: Slots, now: datetime, within: timedelta = _SOON) -> tuple[Ending, ...]:
    """The certificates of the active and the next signer's chains that end within a span. May be empty."""
    signers = [slot.signer for slot in (slots.active, slots.next) if slot is not None]
    return tuple(
        Ending(signer.id, certificate.subject.rfc4514_string(), certificate.not_valid_after_utc)
        for signer in signers
        for certificate in signer.chain
        if certificate.not_valid_after_utc - now < within
    )


def ending_soon(keeper: Keeper, now: datetime) -> tuple[Ending, ...]:
    """What ends within a month; of roots that live for less, what should have been renewed by now. May be empty."""
    renewed_with = keeper.terms.root_life * keeper.terms.renewal_share
    return endings(keeper.authority.slots, now, min(_SOON, renewed_with) if keeper.self_signed else _SOON)


def _signer(slot: Slot) -> SignerStatus:
    signer = slot.signer
    return SignerStatus(
        id=signer.id,
        phase=slot.phase,
        since=slot.since,
        subject=signer.certificate.subject.rfc4514_string(),
        key=signer.key.kind or "",
        begins=signer.begins,
        ends=signer.ends,
        root=fingerprint(signer.anchor),
        self_signed=signer.self_signed,
        tainted=slot.tainted,
    )


def _warnings(keeper: Keeper, now: datetime) -> list[str]:
    authority = keeper.authority
    warnings = [
        f"{ending.subject} {'ended' if ending.ends <= now else 'ends'} on {ending.ends:%Y-%m-%d %H:%M}; "
        + ("it is renewed by itself" if keeper.self_signed else "put other files in its place")
        for ending in ending_soon(keeper, now)
    ]
    if authority.revocations.certificates:
        warnings += [
            f"{slot.signer.id} may not sign CRLs; certificates by it are revoked in vain"
            for slot in authority.slots.all
            if not may_revoke(slot.signer.certificate)
        ]
    if keeper.held_back:
        warnings.append(f"{keeper.held_back} certificates are not written down: the disk takes nothing")
    return warnings
