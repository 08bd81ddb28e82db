"""The script of a rotation: from slots, evidence and the time to the next step, if it may be taken.

    1. prepare   a next signer exists, its root is published            (asked for, or due: see `keeper`)
    2. activate  once everybody in use is known to trust the new root
    3. drop      the old signer, once nobody shows a certificate of it

A self-signed root that nears its end is renewed with the same key, as istiod does: nothing has to be waited for.
Follows: security/pkg/pki/ca/selfsignedcarootcertrotator.go of istio/istio (renewal), SPIRE's slots (the rest).
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from pilotpy_ca.certificates import fingerprint, renewed
from pilotpy_ca.ledger import Evidence
from pilotpy_ca.signer import Signer
from pilotpy_ca.slots import Slot, Slots
from pilotpy_ca.terms import Terms


class Step(NamedTuple):
    """Something to be done to the slots."""

    slots: Slots  # as they are afterwards
    done: str  # "activated", "dropped" or "renewed"
    signer_id: str


class Wait(NamedTuple):
    """Why a slot stays as it is."""

    signer_id: str
    step: str  # the one that is waited for: "activate" or "drop"
    holders: tuple[str, ...]  # who is not there yet, sorted; empty: everybody is, and that is to last for a moment


class Script:
    """Decides.

    Remembers since when nothing has held a step back, because evidence must last: a clock that jumps forward makes
    every certificate look expired, for as long as nobody sets it right.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._free: dict[str, datetime] = {}

    def next_step(self, slots: Slots, evidence: Evidence, now: datetime) -> Step | None:
        """What is to be done now, if anything. To be asked again with its outcome, until None comes back."""
        if self._lasts("renew", now, free=renewal_due(slots.active.signer, self._terms, now)):
            self._free.pop("renew", None)
            active = slots.active.signer
            root = renewed(active.certificate, active.key, now, self._terms.root_life)
            return Step(slots.renewed(Signer(active.key, root)), "renewed", active.id)
        if slots.next is not None and self._may(slots.next, _lacking(slots.next, evidence), now):
            return Step(slots.activated(now), "activated", slots.next.signer.id)
        for slot in slots.old:
            if self._may(slot, evidence.relying(slot.signer.id), now):
                return Step(slots.dropped(slot.signer.id), "dropped", slot.signer.id)
        return None

    def waits(self, slots: Slots, evidence: Evidence) -> tuple[Wait, ...]:
        """What the rotation is waiting for, as it stands. Empty if none is under way."""
        waits = [Wait(slot.signer.id, "drop", tuple(evidence.relying(slot.signer.id))) for slot in slots.old]
        if slots.next is not None:
            waits.insert(0, Wait(slots.next.signer.id, "activate", tuple(_lacking(slots.next, evidence))))
        return tuple(waits)

    def _may(self, slot: Slot, holders: object, now: datetime) -> bool:
        name = f"{slot.phase} {slot.signer.id}"
        if slot.at_once or self._lasts(name, now, free=not holders):
            self._free.pop(name, None)
            return True
        return False

    def _lasts(self, name: str, now: datetime, *, free: bool) -> bool:
        """Whether something has been free, at every look, for long enough."""
        if not free:
            self._free.pop(name, None)
            return False
        since = self._free.setdefault(name, now)
        if now < since:  # the clock was set back
            self._free[name] = now
            return False
        return now - since >= self._terms.settle


def renewal_due(signer: Signer, terms: Terms, now: datetime) -> bool:
    """Whether a self-signed root is to be renewed: little of its life is left, or none."""
    if not signer.self_signed or len(signer.roots) > 1:
        return False
    root = signer.certificate
    # A root that was renewed began with its first certificate: what counts is the life of one.
    life = min(root.not_valid_after_utc - root.not_valid_before_utc, terms.root_life)
    return root.not_valid_after_utc - now < life * terms.renewal_share


def _lacking(slot: Slot, evidence: Evidence) -> tuple[str, ...]:
    return tuple(evidence.lacking(fingerprint(slot.signer.anchor)))
