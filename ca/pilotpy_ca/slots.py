"""The signers of an authority and the phase that each is in: the next one, the active one, the old ones.

    next (PREPARED)  its root is published, it signs nothing yet
    active (ACTIVE)  signs; there is always exactly one
    old (OLD)        signs no leaf any more, its root is still published, and it still signs its revocations

Values: each change makes new slots. Follows the slots of SPIRE (pkg/server/ca/manager).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from cryptography import x509

from pilotpy_ca.certificates import unique
from pilotpy_ca.errors import RotationError
from pilotpy_ca.signer import Signer


class Phase(StrEnum):
    """What a signer does."""

    PREPARED = "prepared"
    ACTIVE = "active"
    OLD = "old"


@dataclass(frozen=True, slots=True)
class Slot:
    """One signer."""

    signer: Signer
    phase: Phase
    since: datetime  # when it came into this phase
    tainted: bool = False  # somebody else may have its key: what it vouched for is not to be believed
    at_once: bool = False  # prepared: becomes active without evidence; old: is dropped without


@dataclass(frozen=True, slots=True)
class Slots:
    """All signers."""

    active: Slot
    next: Slot | None = None
    old: tuple[Slot, ...] = ()  # the latest first

    @classmethod
    def first(cls, signer: Signer, now: datetime) -> Slots:
        """The slots of an authority that begins."""
        return cls(Slot(signer, Phase.ACTIVE, now))

    @property
    def all(self) -> tuple[Slot, ...]:
        """The active one, the next one if there is one, then the old ones."""
        return (self.active, *((self.next,) if self.next else ()), *self.old)

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """What verifiers are to trust, the active signer's roots first; each root once."""
        return unique(root for slot in self.all for root in slot.signer.roots)

    def prepared(self, signer: Signer, now: datetime, *, at_once: bool = False) -> Slots:
        """With a next signer. Raises `RotationError` if there is one already."""
        if self.next is not None:
            raise RotationError(f"{self.next.signer.id} is already prepared; a rotation is under way")
        return replace(self, next=Slot(signer, Phase.PREPARED, now, at_once=at_once))

    def activated(self, now: datetime) -> Slots:
        """The next signer signs, the active one is old. Raises `RotationError` if there is no next one."""
        if self.next is None:
            raise RotationError("no signer is prepared")
        at_once = self.active.at_once or (self.next.at_once and self.active.tainted)
        retired = replace(self.active, phase=Phase.OLD, since=now, at_once=at_once)
        return Slots(replace(self.next, phase=Phase.ACTIVE, since=now, at_once=False), None, (retired, *self.old))

    def dropped(self, signer_id: str) -> Slots:
        """Without an old signer."""
        return replace(self, old=tuple(slot for slot in self.old if slot.signer.id != signer_id))

    def abandoned(self) -> Slots:
        """Without the next signer."""
        return replace(self, next=None)

    def changed(self, signer_id: str, *, tainted: bool | None = None, at_once: bool | None = None) -> Slots:
        """With other marks on a signer. Raises `RotationError` if there is none of this id."""
        if all(slot.signer.id != signer_id for slot in self.all):
            raise RotationError(f"there is no signer {signer_id}")

        def marked(slot: Slot) -> Slot:
            if slot.signer.id != signer_id:
                return slot
            return replace(
                slot,
                tainted=slot.tainted if tainted is None else tainted,
                at_once=slot.at_once if at_once is None else at_once,
            )

        return Slots(marked(self.active), marked(self.next) if self.next else None, tuple(map(marked, self.old)))

    def renewed(self, signer: Signer) -> Slots:
        """With another certificate for the active signer's key, or other roots beside it."""
        return replace(self, active=replace(self.active, signer=signer))
