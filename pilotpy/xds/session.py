"""One ADS stream as a state machine: requests and publications in, responses out. No sockets, no clock.

Answers to requests come first. Pushes follow one publication at a time, type after type in the order of make before
break: what routes point to, then, once the client has taken that (`lapse` ends the wait), listeners and routes, then
the news that clusters are gone. Publications that arrive meanwhile replace each other. Nothing is queued: `next` says
what to send from what is known when it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from pilotpy.compile.encoded import EMPTY, Tree
from pilotpy.xds.batch import Batch, Batches, response
from pilotpy.xds.names import NO_NAMES, Names, interned
from pilotpy.xds.publication import NOTHING_YET, Publication
from pilotpy.xds.resource_type import CLUSTER, ENDPOINT, IN_ORDER, LISTENER, ROUTE, ResourceType
from pilotpy.xds.watch import Rejection, Watch

_LONGEST: Final = 32 << 10  # characters of a NACK that are read: whoever refuses more names enough in these


class Send(NamedTuple):
    """A response to be written."""

    type: ResourceType
    batch: Batch
    version: str
    nonce: str
    revision: int
    incremental: bool
    pushed: bool  # of our own accord; otherwise asked for

    def __bytes__(self) -> bytes:
        return response(self.type, self.batch, self.version, self.nonce, incremental=self.incremental)


class Session:
    """State of one stream; see the module's docstring. Not shared between tasks."""

    def __init__(self, batches: Batches, *, incremental: bool) -> None:
        self.incremental = incremental
        self.watches: dict[str, Watch] = {}  # by type URL, in the order of `IN_ORDER`
        self.rejections: list[Rejection] = []  # not yet taken by the edge
        self.settled = 0  # the latest revision that the client has answered to the last resource
        self._batches = batches
        self._serving = NOTHING_YET
        self._next: Publication | None = None
        self._awaiting: dict[str, ResourceType] = {}  # types whose last response is not answered, by URL
        self._version = ""  # of the last response
        self._count = 0  # of the responses of that version

    # -- what arrives --------------------------------------------------------------------------

    def watch(self, type_: ResourceType) -> Watch:
        """A new watch of a type, in place of any before it."""
        self.unwatch(type_)
        watch = Watch(type_, self.incremental, self._batches)
        known = {**self.watches, type_.url: watch}
        self.watches = {type_.url: known[type_.url] for type_ in IN_ORDER if type_.url in known}
        return watch

    def unwatch(self, type_: ResourceType) -> None:
        """Forget a type; nobody will answer for it any more."""
        self.watches.pop(type_.url, None)
        self._awaiting.pop(type_.url, None)

    def changed(self, publication: Publication) -> None:
        """The compiler has something newer."""
        self._next = publication

    def acked(self, watch: Watch, nonce: str) -> None:
        """The client took a response that it was sent."""
        watch.acked(nonce)
        self._answered(watch, nonce)

    def nacked(self, watch: Watch, nonce: str, message: str) -> None:
        """The client refused a response. The next type goes out nevertheless."""
        self.rejections.append(watch.nacked(nonce, message[:_LONGEST]))
        self._answered(watch, nonce)

    def resend(self) -> None:
        """Send everything once more with the next pushes, changed or not."""
        for watch in self.watches.values():
            watch.again = interned(resource.name for resource in watch.held) if watch.wildcard else watch.names

    def lapse(self) -> None:
        """The client had its time to answer."""
        self._awaiting.clear()

    def _answered(self, watch: Watch, nonce: str) -> None:
        if nonce == watch.nonce_sent:
            self._awaiting.pop(watch.type.url, None)

    # -- what leaves ---------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        """Whether something to send waits for the client's answer."""
        return bool(self._awaiting) and (self._next is not None or any(self._behind()) or any(self._leaving()))

    def next(self) -> Send | None:
        """What to send now; None: nothing until something arrives."""
        while True:
            send = self._answer() or self._push()
            if send is not None or self._awaiting:
                return send
            self.settled = self._serving.revision
            if self._next is None:
                return None
            self._serving, self._next = self._next, None

    def _answer(self) -> Send | None:
        for watch in self.watches.values():
            if not (watch.owes_all or watch.owes):
                continue
            tree = self._serving.trees.get(watch.type.url)
            if tree is None:
                self._take_up(watch)
                tree = self._serving.trees.get(watch.type.url)
                if tree is None:
                    continue  # not compiled yet, or never
            before, owed = (EMPTY, NO_NAMES) if watch.owes_all else (watch.held, watch.owes)
            batch = watch.answer(tree)
            if batch is not None:
                return self._sending(watch, batch, before, owed, pushed=False)
        return None

    def _take_up(self, watch: Watch) -> None:
        """Give a type its first collection, even while the others still wait for their turn."""
        if self._next is not None and (tree := self._next.trees.get(watch.type.url)) is not None:
            trees = {**self._serving.trees, watch.type.url: tree}
            self._serving = Publication(self._serving.revision, self._next.version, trees)

    def _push(self) -> Send | None:
        for watch in self._behind():
            if any(type_.stage < watch.type.stage for type_ in self._awaiting.values()):
                return None
            before, besides = watch.held, watch.again
            batch = watch.push(self._serving.trees[watch.type.url])
            if batch is not None:
                return self._sending(watch, batch, before, besides, pushed=True)
        for watch in self._leaving():
            if self._awaiting:
                return None
            return self._sending(watch, watch.farewell(), watch.held, NO_NAMES, pushed=True)
        return None

    def _sending(self, watch: Watch, batch: Batch, before: Tree, besides: Names, *, pushed: bool) -> Send:
        serving = self._serving
        self._count = self._count + 1 if serving.version == self._version else 1
        self._version = serving.version
        # Names no stream: who is sent the same as others is sent the same bytes.
        nonce = f"{serving.version}/{self._count}"
        watch.sent(nonce, before, besides, serving.trees[watch.type.url])
        self._awaiting[watch.type.url] = watch.type
        self._warm(watch, before, pushed=pushed)
        return Send(watch.type, batch, serving.version, nonce, serving.revision, self.incremental, pushed)

    def _warm(self, sent: Watch, before: Tree, *, pushed: bool) -> None:
        """See to it that what Envoy builds anew gets its parts again: it asks but once for what has not changed."""
        endpoints, routes = self.watches.get(ENDPOINT.url), self.watches.get(ROUTE.url)
        if sent.type is CLUSTER and endpoints is not None:
            if pushed or not self.incremental:
                changed = self._batches.changes(before, sent.held, endpoints.names).resources
                endpoints.again = interned(endpoints.again.union(resource.name for resource in changed))
            else:
                endpoints.again = endpoints.names
        if sent.type is LISTENER and routes is not None and not self.incremental:
            routes.again = routes.names

    def _behind(self) -> Iterator[Watch]:
        for watch in self.watches.values():
            tree = self._serving.trees.get(watch.type.url)
            if tree is not None and not watch.owes_all and (watch.again or tree != watch.held):
                yield watch

    def _leaving(self) -> Iterator[Watch]:
        return (watch for watch in self.watches.values() if watch.leaving)
