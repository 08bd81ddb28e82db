"""The keeper of an authority's keys: the one place that makes them, stores them, and changes which one signs.

Every change is stored first and in force afterwards, so that a crash leaves one or the other. `tick` is to be called
about once a second with the time; it follows plugged-in files, takes the steps of a rotation, and tells what it did.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from pilotpy_ca.authority import Authority
from pilotpy_ca.certificates import fingerprint, organization_of, root_certificate
from pilotpy_ca.errors import BundleError, Conflict, RotationError, StorageError
from pilotpy_ca.journal import State, files_of, state_of
from pilotpy_ca.keys import KeyType, PrivateKey
from pilotpy_ca.ledger import Evidence, Issued, Ledger
from pilotpy_ca.ledger_file import LedgerFile
from pilotpy_ca.plugged_in import PluggedIn, PluggedInSource, permitted
from pilotpy_ca.revocation import SERIALS, Revocations, Revoked
from pilotpy_ca.rotation import Script, Wait
from pilotpy_ca.signer import Signer
from pilotpy_ca.slots import Slots
from pilotpy_ca.storage import Storage, Stored
from pilotpy_ca.terms import Terms


class Event(NamedTuple):
    """Something that happened to the keys, for logs and people."""

    what: str  # made, prepared, activated, dropped, renewed, replaced, refused, tainted, abandoned, revoked, banned...
    about: str  # a signer's id, a name, a path
    detail: str = ""


@dataclass(frozen=True)
class Source:
    """Where keys are and come from."""

    storage: Storage
    plugged_in: PluggedInSource | None = None  # with any of its files there: the signer is somebody else's
    ledger: LedgerFile | None = None


class Keeper:
    """Owns what is stored, and the authority that signs with it. One event loop or thread at a time.

    A storage without keys, and no plugged-in files: a self-signed root is made. Raises `BundleError` if plugged-in
    files are incomplete or wrong (they are never replaced by a self-signed root), `StorageError` if what is stored
    cannot be read or the new root cannot be stored.
    """

    def __init__(self, source: Source, terms: Terms, now: datetime, evidence: Evidence | None = None) -> None:
        self.terms = terms
        self._storage = source.storage
        self._ledger_file = source.ledger
        self._plugged = source.plugged_in if source.plugged_in and source.plugged_in.present() else None
        self.ledger = Ledger(source.ledger.read() if source.ledger else (), terms.settle)
        self.evidence: Evidence = evidence if evidence is not None else self.ledger
        self._script = Script(terms)
        self._pruned = now
        self._lines = len(self.ledger)
        self._owed: tuple[Revoked, ...] = ()  # of names that another process revoked, which did not know of these
        given = self._plugged.load(now) if self._plugged else None
        self._state, self._version = self._stored(now, make_root=given is None)
        slots = Slots.first(given.signer, now) if given else self._state.slots
        assert slots is not None, "a root was made, or one was given"
        self.authority = Authority(slots, terms, self.ledger)
        self._adopt(slots, self._state.revocations, given_crl=given.crl if given else b"")
        self.authority.record = self._record

    @property
    def self_signed(self) -> bool:
        """Whether the keys were made here."""
        return self._plugged is None

    @property
    def given_in(self) -> str:
        """Where the files of somebody else's signer are, for people; empty: the keys were made here."""
        return self._plugged.name if self._plugged is not None else ""

    @property
    def held_back(self) -> int:
        """How many certificates could not be written down yet."""
        return self._ledger_file.held_back if self._ledger_file is not None else 0

    def tick(self, now: datetime) -> tuple[Event, ...]:
        """Do what is due. Raises `StorageError` if a step could not be stored: it was not taken, ask again."""
        events = [*self._follow(now), *self._revoke_owed()]
        while step := self._script.next_step(self.authority.slots, self.evidence, now):
            self._commit(slots=step.slots)
            events.append(Event(step.done, step.signer_id))
        if now < self._pruned or now - self._pruned >= self.terms.settle:
            self._pruned = now
            self._prune(now)
        if self._ledger_file is not None:
            self._ledger_file.flush()
        return tuple(events)

    def waits(self) -> tuple[Wait, ...]:
        """What a rotation that is under way waits for."""
        return self._script.waits(self.authority.slots, self.evidence)

    def rotate(self, now: datetime, *, at_once: bool = False, kind: KeyType | None = None) -> Event:
        """Prepare a next signer with a key of its own; `tick` does the rest as evidence comes in.

        At once: whoever does not have the new root yet will refuse new certificates. Asked again for a rotation that
        is under way, it stops waiting. Raises `RotationError` if one is under way, or the keys are somebody else's.
        """
        slots = self.authority.slots
        if at_once and slots.next is not None:
            self._commit(slots=slots.changed(slots.next.signer.id, at_once=True))
            return Event("prepared", slots.next.signer.id, "goes on without evidence")
        if self._plugged is not None:
            raise RotationError(f"the keys in {self._plugged.name} are not ours: put other files there")
        signer = _new_root(self.terms, now, kind, after=slots)
        self._commit(slots=slots.prepared(signer, now, at_once=at_once))
        return Event("prepared", signer.id)

    def abandon(self) -> Event:
        """Give up the next signer. Raises `RotationError` if there is none."""
        slots = self.authority.slots
        if slots.next is None:
            raise RotationError("no rotation is under way")
        self._commit(slots=slots.abandoned())
        return Event("abandoned", slots.next.signer.id)

    def taint(self, signer_id: str, now: datetime, *, at_once: bool = False) -> Event:
        """Somebody else may have this signer's key: what it vouched for no longer authenticates, and it is rotated out.

        At once: its root is dropped without waiting, and what it signed is refused from then on.
        Raises `RotationError` if there is no such signer, or the active one is somebody else's.
        """
        slots = self.authority.slots
        if slots.next is not None and slots.next.signer.id == signer_id:
            slots = slots.abandoned().prepared(_new_root(self.terms, now, after=slots), now)
        else:
            slots = slots.changed(signer_id, tainted=True, at_once=at_once)
            if slots.active.tainted and slots.next is None and self._plugged is None:
                slots = slots.prepared(_new_root(self.terms, now, after=slots), now, at_once=at_once)
            elif slots.active.tainted and slots.next is not None and at_once:
                slots = slots.changed(slots.next.signer.id, at_once=True)
        self._commit(slots=slots)
        return Event("tainted", signer_id, "" if self._plugged is None else "put other files in its place")

    def drop(self, signer_id: str) -> Event:
        """Drop an old signer's root at the next tick, whoever still relies on it. Raises `RotationError`."""
        slots = self.authority.slots
        if all(slot.signer.id != signer_id for slot in slots.old):
            raise RotationError(f"{signer_id} is not an old signer")
        self._commit(slots=slots.changed(signer_id, at_once=True))
        return Event("dropped", signer_id, "at the next tick")

    def revoke(self, what: str | int, now: datetime, reason: str = "", *, ban: bool = False) -> tuple[Event, ...]:
        """Revoke a certificate by its serial number, or all valid ones of a name (a SPIFFE ID).

        `ban`: the name gets no more, until `unban`; that is in force even if there is no room to list its certificates,
        which is a `StorageError`. Raises `RotationError` if there is nothing to revoke, or the number
        is none that a certificate can have: no list could be made with it.
        """
        if isinstance(what, int):
            if what not in SERIALS:
                raise RotationError(f"{what:x} is not the serial number of a certificate")
            found: Iterable[Issued] = [one] if (one := self.ledger.find(what)) else []
            # Not in the ledger: issued by an earlier installation. Nobody knows by whom, so each signer says so.
            ends = max(slot.signer.ends for slot in self.authority.slots.all)
            revoked = [Revoked(one.serial, one.signer_id, now, one.ends, reason) for one in found]
            revoked = revoked or [Revoked(what, "", now, ends, reason)]
        else:
            revoked = self._valid(what, now, reason)
            if not revoked and not ban:
                raise RotationError(f"{what} has no certificate that is still valid")
        events = [Event("revoked", f"{one.serial:x}", reason) for one in revoked]
        if ban and isinstance(what, str):  # first and by itself: whatever room the others take, there is enough for it
            self._commit(revocations=self.authority.revocations.banning(what))
            events.append(Event("banned", what, reason))
        revocations = self.authority.revocations.adding(revoked)
        if isinstance(what, str):
            revocations = revocations.naming(what, now)
        self._commit(revocations=revocations)
        return tuple(events)

    def unban(self, name: str) -> Event:
        """Let a name have certificates again. Raises `RotationError` if it may."""
        if name not in self.authority.revocations.banned:
            raise RotationError(f"{name} is not banned")
        self._commit(revocations=self.authority.revocations.banning(name, banned=False))
        return Event("unbanned", name)

    def token_key(self) -> PrivateKey:
        """The key of the issuer of tokens, made when it is first asked for. Raises `StorageError`."""
        if self._state.token_key is None:
            self._save(self._state._replace(token_key=PrivateKey.new(KeyType.P256)))
        assert self._state.token_key is not None, "just stored"
        return self._state.token_key

    @property
    def version(self) -> str:
        """Which version of what is stored is in force."""
        return self._version

    def take(self, stored: Stored, now: datetime) -> tuple[Event, ...]:
        """Go on with what another process of the same authority has stored; it is later than what is in force.

        Raises `StorageError` if it cannot be read: what was in force stays.
        """
        if stored.version == self._version:
            return ()
        found = state_of(stored.files, now)
        if found is None or (found.slots is None and self._plugged is None):
            raise StorageError("the stored keys are gone; those from before stay in force until this process ends")
        known = self.authority.revocations.names
        names = [name for name, at in found.revocations.names.items() if known.get(name) != at]
        self._owed += tuple(one for name in names for one in self._valid(name, now))
        self._state, self._version = found, stored.version
        slots = found.slots if self._plugged is None else None
        self._adopt(slots or self.authority.slots, found.revocations)
        return (Event("taken", self.authority.slots.active.signer.id, f"version {stored.version}"),)

    def _valid(self, name: str, now: datetime, reason: str = "") -> list[Revoked]:
        return [Revoked(one.serial, one.signer_id, now, one.ends, reason) for one in self.ledger.valid(name)]

    def _revoke_owed(self) -> list[Event]:
        """Revoke what was given here, and was not known to whoever revoked all of a name."""
        missing = [one for one in self._owed if one.serial not in self.authority.revocations.certificates]
        if missing:
            self._commit(revocations=self.authority.revocations.adding(missing))
        self._owed = ()
        return [Event("revoked", f"{one.serial:x}", "with all of its name") for one in missing]

    def close(self) -> None:
        """Write down what was held back, as far as possible."""
        if self._ledger_file is not None:
            self._ledger_file.flush()
            self._ledger_file.close()

    def _stored(self, now: datetime, *, make_root: bool) -> tuple[State, str]:
        """What is stored, with a root if there is to be one; whoever stores the first root wins."""
        while True:
            stored = self._storage.load()
            state = state_of(stored.files, now) or State()
            if state.slots is not None or not make_root:
                return state, stored.version
            state = state._replace(slots=Slots.first(_new_root(self.terms, now), now))
            try:
                return state, self._storage.save(files_of(state), stored.version)
            except Conflict:
                continue

    def _commit(self, slots: Slots | None = None, revocations: Revocations | None = None) -> None:
        """Store, then act on it."""
        slots = slots if slots is not None else self.authority.slots
        revocations = revocations if revocations is not None else self.authority.revocations
        kept = slots if self._plugged is None else self._state.slots  # somebody else's keys are not copied
        state = self._state._replace(slots=kept, revocations=revocations)
        if state != self._state:
            self._save(state)
        self._adopt(slots, revocations)

    def _adopt(self, slots: Slots, revocations: Revocations, given_crl: bytes | None = None) -> None:
        self.ledger.revoked(revocations.certificates)
        self.authority.adopt(slots, revocations, given_crl=given_crl)

    def _save(self, state: State) -> None:
        try:
            self._version = self._storage.save(files_of(state), self._version)
        except Conflict:
            self.take(self._storage.load(), self._pruned)
            raise
        self._state = state

    def _follow(self, now: datetime) -> Iterable[Event]:
        """Take over plugged-in files that have changed, as far as it can be done without harm."""
        if self._plugged is None or not self._plugged.changed():
            return
        where = self._plugged.name
        try:
            given = self._plugged.load(now)
        except BundleError as error:
            yield Event("refused", where, f"{error}; the set from before stays in force")
            return
        slots = self.authority.slots
        latest = slots.next or slots.active
        if not permitted(latest.signer.roots, given.signer.roots, multi_root=self.terms.multi_root):
            yield Event("refused", where, _WAY_ROUND)
            return
        yield from self._replace(slots, given, now)

    def _replace(self, slots: Slots, given: PluggedIn, now: datetime) -> Iterable[Event]:
        signer = given.signer
        if signer.id == slots.active.signer.id:
            self.authority.adopt(slots.abandoned().renewed(signer), given_crl=given.crl)
            yield Event("replaced", signer.id, "certificate, roots or CRL; the key is the same")
            return
        slots = slots.abandoned().prepared(signer, now)
        self.authority.adopt(slots, given_crl=given.crl)
        yield Event("prepared", signer.id)
        same = signer.anchor == slots.active.signer.anchor
        if same or not self.evidence.lacking(fingerprint(signer.anchor)):
            # Its root is everywhere already, as with a new intermediate: nothing to wait for.
            self.authority.adopt(slots.activated(now))
            yield Event("activated", signer.id)

    def _record(self, one: Issued) -> None:
        self.ledger.add(one)
        self._lines += 1
        if self._ledger_file is not None:
            self._ledger_file.append(one)

    def _prune(self, now: datetime) -> None:
        self.ledger.prune(now)
        pruned = self.authority.revocations.pruned(now)
        if pruned is not self.authority.revocations:
            self._commit(revocations=pruned)
        if self._ledger_file is not None and self._lines > 2 * len(self.ledger) + 1000:
            self._ledger_file.compact(self.ledger)
            self._lines = len(self.ledger)


_WAY_ROUND = (
    "other roots than before, so that running proxies would be cut off: with several roots allowed, first add the new "
    "root to the old ones, then change the signer, then take the old root away; what was there before stays in force"
)


def _new_root(terms: Terms, now: datetime, kind: KeyType | None = None, after: Slots | None = None) -> Signer:
    """A new self-signed root; the one after another is of its organization and kind of key unless told otherwise."""
    organization = terms.trust_domain
    if after is not None:
        before = after.active.signer
        kind = kind or before.key.kind
        organization = organization_of(before.certificate) or organization
    key = PrivateKey.new(kind or terms.key_type)
    return Signer(key, root_certificate(key, organization, now, terms.root_life))
