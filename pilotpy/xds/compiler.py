"""The compiler in the process of its edges: inputs in, publications out, nothing computed twice.

Inputs are gathered in two lanes and written to the engine. Answers that became doubtful are asked again in slices of
a few milliseconds, between which the loop runs; then each proxy for which one came out different gets a new
publication. Endpoints are asked first and published by themselves, so that they need not wait for a large compile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from pilotpy.compile.collection import Collection
from pilotpy.compile.encoded import Tree
from pilotpy.engine import Engine, OutOfTime, Put, Query
from pilotpy.mesh.kinds import PROXIES
from pilotpy.mesh.proxy import proxy_from_node
from pilotpy.mesh.view import View
from pilotpy.model.resource import Finding
from pilotpy.ops.clock import Moment
from pilotpy.ops.instruments import Instruments
from pilotpy.ops.logs import fields
from pilotpy.ops.settings import Settings
from pilotpy.xds.lane import Lane
from pilotpy.xds.names import Names
from pilotpy.xds.publication import Node, Publication, Unacceptable
from pilotpy.xds.resource_type import ENDPOINT
from pilotpy.xds.seat import Asked, LocalSeat

_LOG: Final = logging.getLogger("pilotpy.compiler")
_SLICE: Final = 0.02  # seconds of compiling between two turns of the loop
_SWEEP_EVERY: Final = 30.0  # seconds between two looks for answers that nobody wants any more


class Answers(NamedTuple):
    """The queries whose answers are served."""

    view: Query[[str], View]
    collections: Mapping[str, Collection]  # by type URL
    by_name: Mapping[str, Collection] = {}  # likewise, of those whose queries also take the names asked for, sorted


class LocalCompiler:
    """Implements `publication.Compiler`. All of its methods are called in the loop that `run` runs in."""

    def __init__(self, engine: Engine, answers: Answers, settings: Settings, instruments: Instruments) -> None:
        self.ready = False  # set by whoever knows that every source has been read
        self.engine = engine
        self._view, self._collections, self._by_name = answers
        self._clock, self._metrics, self._timeline = instruments
        self._epoch = self._clock.now().isoformat(timespec="seconds")
        self._config = Lane("config", settings.debounce_after, settings.debounce_max)
        self._endpoints = Lane("endpoint", settings.endpoint_window, settings.endpoint_window)
        self._stirred = asyncio.Event()
        self._absorbed = asyncio.Event()
        self._settled = asyncio.Event()
        self._hurry = False  # somebody waits: lanes need not
        self._seats: dict[str, LocalSeat] = {}
        self._users: dict[Asked, dict[tuple[LocalSeat, str], None]] = {}  # who is given an answer, and as which type
        self._trees: dict[Asked, Tree] = {}
        self._acts: dict[Asked, Callable[[Any], None]] = {}  # what is done about answers that nobody is served
        self._soon: dict[Asked, None] = {}  # to be asked: views and endpoints
        self._later: dict[Asked, None] = {}  # to be asked: all others
        self._fresh: dict[LocalSeat, None] = {}  # seats with something to publish
        self._ahead: dict[str, None] = {}  # connections that have the endpoints of what is being compiled already
        self._written = 0  # the last revision that objects made; proxies that come and go make some too
        self._complete = 0  # the last revision of which everything was published
        self._version = f"{self._epoch}/0"  # what publications are called
        self._swept = self._clock.moment()

    # -- inputs ------------------------------------------------------------------------------

    def submit(self, puts: Iterable[Put], causes: Iterable[str], *, endpoints: bool = False) -> None:
        """Objects changed. `causes` name them for people; `endpoints`: nothing but where workloads are."""
        lane = self._endpoints if endpoints else self._config
        causes = tuple(causes)
        lane.add(puts, causes, self._clock.moment())
        self._metrics.updates.add("eds" if endpoints else "config", max(1, len(causes)))
        self._stirred.set()

    async def caught_up(self) -> None:
        """Wait until all that was submitted so far is in the engine: answers asked from then on know of it."""
        self._hurry = True
        self._stirred.set()
        while self._config.due is not None or self._endpoints.due is not None:
            self._absorbed.clear()
            await self._absorbed.wait()

    async def settled(self) -> None:
        """Wait until more was compiled than when this was last awaited, and all of it is published. For one caller."""
        await self._settled.wait()
        self._settled.clear()

    def held(self) -> list[tuple[str, Tree]]:
        """What is compiled and given to somebody: type URLs and collections, in no order."""
        return [
            (url, self._trees[asked])
            for asked, users in self._users.items()
            if asked in self._trees
            for url in {url for _, url in users}
        ]

    def act_on(self, query: Query[[], Any], act: Callable[[Any], None]) -> None:
        """Call `act` with the answer of a query, now and whenever it changes, for good."""
        asked: Asked = (query, ())
        self.engine.hold(query)
        self._acts[asked] = act
        act(self.engine.ask(query))

    # -- places ------------------------------------------------------------------------------

    def connect(self, connection: str, node: Node, wake: Callable[[], None]) -> LocalSeat:
        """A place for one stream; see `Compiler.connect`."""
        proxy = proxy_from_node(node.id, node.metadata, node.locality, node.extensions, node.identity)
        if isinstance(proxy, Finding):
            raise Unacceptable(proxy.message)
        self.engine.apply([Put(PROXIES, (connection,), proxy)])
        seat = self._seats[connection] = LocalSeat(self, connection, wake)
        self.hold((self._view, (connection,)), seat, "")
        return seat

    def leave(self, seat: LocalSeat) -> None:
        """A stream is over."""
        for url, asked in seat.asked.items():
            self.release(asked, seat, url)
        self.release((self._view, (seat.connection,)), seat, "")
        del self._seats[seat.connection]
        self._fresh.pop(seat, None)
        self._ahead.pop(seat.connection, None)
        self.engine.apply([Put(PROXIES, (seat.connection,), None)])

    def hold(self, asked: Asked, seat: LocalSeat, url: str) -> None:
        """Give a seat an answer, now if it is there and whenever it changes."""
        users = self._users.get(asked)
        if users is None:
            users = self._users[asked] = {}
            query, args = asked
            self.engine.hold(query, *args)
            self._ask_again((asked,))
        users[seat, url] = None
        tree = self._trees.get(asked)
        if tree is not None:
            self._offer(seat, url, tree)
        self._stirred.set()

    def release(self, asked: Asked, seat: LocalSeat, url: str) -> None:
        """Take an answer from a seat."""
        users = self._users[asked]
        del users[seat, url]
        if not users:
            del self._users[asked]
            self._trees.pop(asked, None)
            self._soon.pop(asked, None)
            self._later.pop(asked, None)
            query, args = asked
            self.engine.release(query, *args)

    def asked(self, url: str, view: View, names: Names) -> Asked | None:
        """What answers for a type of resources to a proxy with this view; None: nothing does."""
        if (by_name := self._by_name.get(url)) is not None:
            return by_name.query, (*by_name.facets(view), tuple(sorted(names)))
        collection = self._collections.get(url)
        return None if collection is None else (collection.query, collection.facets(view))

    # -- the loop ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Compile and publish until cancelled."""
        while True:
            await self._something_to_do()
            started = self._clock.moment()
            # What came together is compiled together: endpoints go with the configuration that they came with.
            self._hurry = self._absorb(self._config, started) or self._hurry
            self._absorb(self._endpoints, started)
            self._hurry = False
            self._absorbed.set()
            if await self._compile():
                self._metrics.compile_time.observe(self._clock.moment() - started)
            self._settled.set()
            if self._clock.moment() - self._swept > _SWEEP_EVERY:
                self.engine.sweep()
                self._swept = self._clock.moment()

    async def _something_to_do(self) -> None:
        while not (self._soon or self._later or self._fresh):
            dues = [lane.due for lane in (self._config, self._endpoints) if lane.due is not None]
            left = min(dues) - self._clock.moment() if dues else None
            if left is not None and (self._hurry or left <= 0):
                return
            self._stirred.clear()
            try:
                async with asyncio.timeout(left):
                    await self._stirred.wait()
            except TimeoutError:
                return

    def _absorb(self, lane: Lane, now: Moment) -> bool:
        """Write what a lane has gathered, if it is due; whether it was."""
        due = lane.due
        load = lane.taken() if due is not None and (self._hurry or due <= now) else None
        if load is None:
            return False
        self._written = self.engine.apply(load.puts)
        self._timeline.seen(load.causes, load.first)
        self._metrics.triggers.add(lane.name)
        self._metrics.debounce.observe(now - load.first)
        self._ask_again(self.engine.woken())
        return True

    def _ask_again(self, doubtful: Iterable[Asked]) -> None:
        endpoints = self._collections.get(ENDPOINT.url)
        soon = (self._view, None if endpoints is None else endpoints.query)
        for asked in doubtful:
            (self._soon if asked[0] in soon else self._later)[asked] = None

    def _offer(self, seat: LocalSeat, url: str, tree: Tree) -> None:
        seat.fresh[url] = tree
        self._fresh[seat] = None

    async def _compile(self) -> bool:
        """Ask all that is doubtful and publish; whether anybody got anything."""
        told = 0
        until = self._clock.moment() + _SLICE
        self._ask_again(self.engine.woken())
        while queue := self._soon or self._later:
            if not self._soon:
                told += self._publish_endpoints()
            asked = next(iter(queue))
            if self._ask(asked, until):
                queue.pop(asked, None)
            if self._clock.moment() >= until:
                await asyncio.sleep(0)
                self._absorb(self._endpoints, self._clock.moment())
                until = self._clock.moment() + _SLICE
        return bool(told + self._publish())

    def _ask(self, asked: Asked, until: float) -> bool:
        """Ask one thing and hand its answer on; False if there was no time to finish."""
        query, args = asked
        try:
            answer = self.engine.ask_until(lambda: self._clock.moment() >= until, query, *args)
        except OutOfTime:
            return False
        except Exception:  # noqa: BLE001  # ours to mend; whoever holds the last answer keeps it
            self._metrics.errors.add()
            _LOG.exception("compile failed", extra=fields(query=query.name, args=repr(args)[:500]))
            return True
        finally:
            self._tell_failed()
        if (act := self._acts.get(asked)) is not None:
            act(answer)
        elif isinstance(answer, Tree):
            if asked not in self._trees or self._trees[asked] != answer:
                self._trees[asked] = answer
                for seat, url in self._users[asked]:
                    self._offer(seat, url, answer)
                self._tell_absent(asked)
        else:
            for seat, _ in tuple(self._users[asked]):
                seat.moved(answer)
        return True

    def _tell_failed(self) -> None:
        """Count and log the leaves in whose place something safe is served."""
        for failure in self.engine.failed():
            self._metrics.errors.add()
            where = fields(query=failure.query, args=repr(failure.key)[:500])
            _LOG.error("a stand-in is served: %s", failure.reason, extra=where)

    def _tell_absent(self, asked: Asked) -> None:
        """Count and log what was asked for by name and is not given."""
        query, args = asked
        if any(query is collection.query for collection in self._by_name.values()):
            for note in self.engine.notes(query, *args):
                if isinstance(note, Finding):
                    self._metrics.absent_secrets.add()
                    _LOG.warning(note.message, extra=fields(code=note.code))

    def _publish(self) -> int:
        """Tell the seats all that is new for them; returns how many there were."""
        self._complete = self.engine.revision
        self._version = f"{self._epoch}/{self._written}"
        told = {seat.connection: seat for seat in self._fresh if self._differs(seat, seat.fresh)}
        self._timeline.compiled(self._complete, told.keys() | self._ahead.keys())
        for connection in self._ahead.keys() - told.keys():
            delay = self._timeline.sent(self._complete, connection)  # all that this one gets has left, or is about to
            if delay is not None:
                self._metrics.convergence.observe(delay.total_seconds())
            self._seats[connection].publish(self._publication(self._seats[connection].publication.trees))
        for seat in self._fresh:
            taken, seat.fresh, seat.moving = seat.fresh, {}, False
            if seat.connection in told:
                seat.publish(self._publication({**seat.publication.trees, **taken}))
        self._fresh, self._ahead = {}, {}
        return len(told)

    def _publish_endpoints(self) -> int:
        """Tell the seats of new endpoints, before the rest of the revision is compiled; returns how many there were."""
        told = 0
        for seat in self._fresh:
            if not seat.moving and ENDPOINT.url in seat.fresh and ENDPOINT.url in seat.publication.trees:
                taken = {ENDPOINT.url: seat.fresh.pop(ENDPOINT.url)}
                if self._differs(seat, taken):
                    seat.publish(self._publication({**seat.publication.trees, **taken}))
                    self._ahead[seat.connection] = None
                    told += 1
        return told

    def _differs(self, seat: LocalSeat, fresh: Mapping[str, Tree]) -> bool:
        return any(seat.publication.trees.get(url) != tree for url, tree in fresh.items())

    def _publication(self, trees: Mapping[str, Tree]) -> Publication:
        return Publication(self._complete, self._version, trees)
