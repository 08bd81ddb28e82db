"""One type of resource on one stream: what the client asked for, what it holds, and what it refused.

Knows neither nonces' meaning nor the order of types: `sotw` and `delta` read requests into it, `session` decides when
it may speak. No clock and no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pilotpy.compile.encoded import EMPTY, Encoded, Tree
from pilotpy.xds.batch import Batch, Batches, found, version_of
from pilotpy.xds.names import NO_NAMES, Names, interned
from pilotpy.xds.resource_type import ResourceType

_MOST_UNANSWERED: Final = 16  # responses whose ACK may still be on its way


class Refused(NamedTuple):
    """A resource that the client will not have in this form."""

    digest: bytes
    standing: Encoded | None  # what it accepted before; None: it never had it


class Rejection(NamedTuple):
    """A NACK: of what, and in Envoy's own words."""

    type: ResourceType
    nonce: str
    message: str
    names: tuple[str, ...]  # sorted; those that the message names, or all that were new to the client


class _Sent(NamedTuple):
    before: Tree
    after: Tree
    wanted: Names | None
    besides: Names  # sent though they had not changed from `before` to `after`
    source: Tree  # where these were taken from


@dataclass(slots=True)
class Watch:
    """The state of one type on one stream."""

    type: ResourceType
    incremental: bool
    batches: Batches
    names: Names = NO_NAMES
    wildcard: bool = False  # all of the type, whatever `names` says
    held: Tree = EMPTY  # the collection as it was last sent, as far as the client watches it
    accepted: Tree = EMPTY  # the collection as of the last ACK
    nonce_sent: str = ""
    nonce_acked: str = ""
    error: str = ""  # the last NACK's words, until what it refused has been replaced and accepted
    always_respond: bool = False
    owes_all: bool = False  # an answer with all that is watched
    owes: Names = NO_NAMES  # an answer with these
    again: Names = NO_NAMES  # to be sent with the next push even if unchanged
    versions: Mapping[str, str] = field(default_factory=dict)  # what a returning client holds, until answered
    # Gone, but the client is not yet told. With what it holds of that name; None: it refused it.
    leaving: dict[str, Encoded | None] = field(default_factory=dict)
    refused: dict[str, Refused] = field(default_factory=dict)
    _unanswered: dict[str, _Sent] = field(default_factory=dict)

    @property
    def wanted(self) -> Names | None:
        """The names that the client watches; None: all."""
        return None if self.wildcard else self.names

    # -- what to send ------------------------------------------------------------------------

    def answer(self, tree: Tree) -> Batch | None:
        """What a request is owed, which may be an empty batch; None if nothing is owed."""
        if self.owes_all:
            self.owes_all, self.owes, self.again = False, NO_NAMES, NO_NAMES
            self.held, self.leaving = tree, {}
            return self._worth_saying(self._unknown(self._offered(self.batches.whole(self.type, tree, self.wanted))))
        if self.owes:
            owed, self.owes = self.owes, NO_NAMES
            return self._worth_saying(self._offered(self.batches.whole(self.type, tree, owed)))
        return None

    def _worth_saying(self, batch: Batch) -> Batch | None:
        """The batch, if it is to be sent even if it is empty."""
        return batch if batch or not self.type.quiet else None

    def push(self, tree: Tree) -> Batch | None:
        """What the client needs to hold `tree`; None if nothing. Names that leave last are kept for `farewell`."""
        if tree == self.held and not self.again:
            return None
        old, again = self.held, self.again if self.wildcard else self.again & self.names
        self.held, self.again = tree, NO_NAMES
        changes = self.batches.changes(old, tree, self.wanted)
        if changes.removed and self.type.leaves_last:
            gone = Batch(found(old, frozenset(changes.removed)).values())
            lingering = {resource.name: resource for resource in self._offered(gone).resources}
            self.leaving |= {name: lingering.get(name) for name in changes.removed}
        resources = changes.resources
        if again:
            changed = {resource.name for resource in resources}
            resources += self.batches.whole(self.type, tree, interned(again - changed)).resources
        # A name that nothing has any more is not taken from a client that asked for it: whose name it was goes too.
        unsaid = self.type.missing or self.type.leaves_last or self.type.quiet
        removed = () if unsaid else changes.removed
        if self.wildcard and not self.incremental:
            return self._everything(tree) if resources or removed else None
        alike = not again and removed == changes.removed
        return self._offered(changes if alike else Batch(resources, removed)) or None

    def farewell(self) -> Batch:
        """What tells the client of the resources that left."""
        leaving, self.leaving = self.leaving, {}
        return Batch((), sorted(leaving)) if self.incremental else self._everything(self.held)

    def _everything(self, tree: Tree) -> Batch:
        """The state of the world, with what is about to leave it."""
        whole = self._offered(self.batches.whole(self.type, tree, None))
        return Batch((*whole.resources, *filter(None, self.leaving.values()))) if self.leaving else whole

    def _offered(self, batch: Batch) -> Batch:
        """The batch with what the client accepted last in place of what it refused."""
        if not self.refused:
            return batch
        offered: list[Encoded] = []
        for resource in batch.resources:
            refused = self.refused.get(resource.name)
            if refused is None or refused.digest != resource.digest:
                offered.append(resource)
            elif refused.standing is not None:
                offered.append(refused.standing)
        return Batch(offered, batch.removed)

    def _unknown(self, batch: Batch) -> Batch:
        """The batch without what a returning client holds already, and the names that are no more."""
        if not self.versions:
            return batch
        versions, self.versions = self.versions, {}
        there = {resource.name for resource in batch.resources}
        unsaid = self.type.missing or self.type.quiet
        gone = set(batch.removed) if unsaid else set(batch.removed) | (versions.keys() - there)
        return Batch((r for r in batch.resources if versions.get(r.name) != version_of(r)), sorted(gone))

    # -- what became of it -------------------------------------------------------------------

    def sent(self, nonce: str, before: Tree, besides: Names, source: Tree) -> None:
        """Remember a response that leaves for the client: what it held before, and what it was given besides."""
        self.nonce_sent = nonce
        self._unanswered[nonce] = _Sent(before, self.held, self.wanted, besides, source)
        if len(self._unanswered) > _MOST_UNANSWERED:
            del self._unanswered[next(iter(self._unanswered))]

    def expects(self, nonce: str) -> bool:
        """Whether an answer to this response of ours may still come."""
        return nonce in self._unanswered

    def acked(self, nonce: str) -> None:
        """The client took a response."""
        sent = self._unanswered.pop(nonce)
        self.nonce_acked = nonce
        self.accepted = sent.after
        if self.refused:
            offered = found(sent.after, frozenset(self.refused))
            for name, refused in list(self.refused.items()):
                if name not in offered or offered[name].digest != refused.digest:
                    del self.refused[name]  # its successor is in force, or it is gone
        if not self.refused:
            self.error = ""

    def nacked(self, nonce: str, message: str) -> Rejection:
        """The client refused a response: find out which of its resources, and keep them from it."""
        self.error = message
        sent = self._unanswered.pop(nonce, None)
        if sent is None:
            return Rejection(self.type, nonce, message, ())
        changed = self.batches.changes(sent.before, sent.after, sent.wanted).resources
        besides = tuple(found(sent.source, sent.besides).values())
        sent_now = {resource.name: resource for resource in (*besides, *changed)}
        named = _named(message, sent_now.keys() | self.leaving.keys() | self.refused.keys())
        blamed = [sent_now[name] for name in named if name in sent_now] if named else list(changed or besides)
        self.leaving |= dict.fromkeys(named & self.leaving.keys())
        accepted = found(self.accepted, frozenset(resource.name for resource in blamed))
        for resource in blamed:
            before = self.refused.get(resource.name)
            standing = before.standing if before is not None else accepted.get(resource.name)
            same = standing is not None and standing.digest == resource.digest
            self.refused[resource.name] = Refused(resource.digest, None if same else standing)
        return Rejection(self.type, nonce, message, tuple(sorted(resource.name for resource in blamed)))


def _named(message: str, names: Iterable[str]) -> set[str]:
    """Those of the names that stand in a message as words of their own."""
    return {
        name
        for name in names
        if name and name in message and re.search(rf"(?<![\w.|-]){re.escape(name)}(?![\w|-]|\.\w)", message)
    }
