"""One collection, listed and then followed for ever: the one loop that talks to the API server about it.

A list is taken in pages and replaces what was known only once it is complete. A watch goes on from the version that was
heard last, which bookmarks keep young; a stream that ends, breaks in the middle of a line or falls silent is taken up
there again. Only where the server no longer knows that version (410) is all listed anew. While nothing works, what was
heard last stays. A server that says more than it may is listened to no further, and that is told. Who only looks `once`
lists, and does without what the server does not let it list.

Source  kubernetes API concepts ("Efficient detection of changes", "Retrieving large results sets in chunks"), client-go
tools/cache/reflector.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from random import Random
from typing import NamedTuple, Protocol

import msgspec

from pilotpy.ops.logs import fields
from pilotpy.sources.kubernetes import answers, wire
from pilotpy.sources.kubernetes.backoff import Backoff
from pilotpy.sources.kubernetes.collection import Collection
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.room import UNBOUND, Bound, Room
from pilotpy.sources.kubernetes.trouble import Refused, TooMuch, Trouble, Unpermitted, Unreachable
from pilotpy.sources.kubernetes.wire import Event, Read

_LOG = logging.getLogger("pilotpy.kubernetes")
_FORBIDDEN = 403
_GONE = 410
_NOT_FOUND = 404
_TOO_MANY = 429
_SHORT = timedelta(seconds=1)
_STUBBORN = 4  # failures in a row of a watch, after which its version is not trusted either
_GROUPS = "/apis"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Timing(NamedTuple):
    """How a collection is followed."""

    page: int = 500  # objects a request
    # Until a list begins, and in the middle of it: without its etcd, an API server says nothing for a minute.
    silence: timedelta = timedelta(seconds=30)
    watch: timedelta = timedelta(minutes=5)  # that a stream lasts at least, before the server ends it
    stall: timedelta = timedelta(minutes=3)  # without a line; bookmarks come every minute, a first one after two
    absent: timedelta = timedelta(seconds=60)  # between looks for what is not installed
    pause: timedelta = timedelta(milliseconds=250)  # after a first failure; twice as long after each one more
    longest_pause: timedelta = timedelta(seconds=30)
    bound: Bound = UNBOUND
    once: bool = False  # it is listed and not followed; what may not be listed is empty


class Happened(Enum):
    """What is worth counting."""

    LISTED = "all was listed"
    EXPIRED = "the server could not go on from where it was"
    FAILED = "the server did not answer, or not as it was asked"


class Listener(Protocol):
    """Who is told."""

    def listed(self, objects: list[Read]) -> None:
        """This is all that there is."""

    def watched(self, events: list[Event]) -> None:
        """This changed, in this order; nothing, when a watch begins."""

    def troubled(self, trouble: Trouble) -> None:
        """The server cannot be heard; it is asked again after a pause."""


class _Absence(Enum):
    """Why there is nothing to be heard."""

    UNINSTALLED = "it is not installed"
    UNREAD = "it is installed in other versions"
    UNPERMITTED = "it may not be listed"


class ListWatch:
    """Follows one collection."""

    def __init__(  # noqa: PLR0913 - the parts of the loop, all of them needed
        self,
        connection: Connection,
        collection: Collection,
        listener: Listener,
        *,
        timing: Timing,
        random: Random,
        count: Callable[[Happened], None],
    ) -> None:
        self._connection = connection
        self._collection = collection
        self._listener = listener
        self._timing = timing
        self._random = random
        self._count = count
        self._backoff = Backoff(random, timing.pause, timing.longest_pause)
        self._expiries = Backoff(random, timing.pause, timing.longest_pause)  # between lists, if no watch follows them
        self._version = ""  # that was heard last; "": all is to be listed
        self._known = False  # whether the listener was told once what there is
        self._api = collection.versions[0]
        self._paged = True
        self._room = Room(timing.bound)
        self._look = asyncio.Event()

    def look_again(self) -> None:
        """A collection may have been installed, or removed."""
        self._look.set()

    async def run(self) -> None:
        """Follow it, for ever; or until it is listed, if that will do."""
        while not (self._timing.once and self._known):
            self._look.clear()
            try:
                if not self._version:
                    await self._list()
                if not self._timing.once:
                    await self._watch()
            except Refused as refused:
                if refused.status == _GONE:
                    await self._expired()
                elif absence := await self._absence(refused):
                    await self._absent(absence)
                else:
                    await self._troubled(refused, refused.retry_after)
            except TooMuch as excess:
                self._version = ""  # all that there is now may be less
                self._paged = True
                await self._troubled(excess)
            except Trouble as trouble:
                await self._troubled(trouble)
            except Exception as fault:  # noqa: BLE001 - whatever it is, this collection is not to be deaf for ever
                _LOG.critical("a fault of ours", extra=fields(of=self._collection.name), exc_info=fault)
                self._version = ""
                await self._troubled(Trouble(f"a fault of ours: {fault!r}"))

    async def _expired(self) -> None:
        """The server no longer knows the version to go on from, or the one that the pages are of."""
        self._count(Happened.EXPIRED)
        self._paged = self._version != ""  # pages that outlive their version are asked for all in one
        self._version = ""
        await asyncio.sleep(self._expiries.pause().total_seconds())

    async def _absent(self, absence: _Absence) -> None:
        """It is not installed: there is nothing, until somebody says to look again, or for a while."""
        self._version = ""
        if absence is _Absence.UNINSTALLED or not self._known:
            self._listener.listed([])
            self._known = True
        if absence is _Absence.UNREAD:
            versions = ", ".join(self._collection.versions)
            self._listener.troubled(Trouble(f"installed in none of the versions {versions}"))
        elif absence is _Absence.UNPERMITTED:
            self._listener.troubled(Unpermitted("it may not be listed by who looks"))
        if self._timing.once:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._look.wait(), self._timing.absent.total_seconds())

    async def _troubled(self, trouble: Trouble, asked: timedelta | None = None) -> None:
        self._count(Happened.FAILED)
        self._listener.troubled(trouble)
        # Who has too much to do already is not asked for all.
        refused = isinstance(trouble, Refused) and trouble.status != _TOO_MANY
        if refused and self._backoff.failures >= _STUBBORN:
            self._version = ""
        await asyncio.sleep(self._backoff.pause(asked).total_seconds())

    async def _list(self) -> None:
        """List all, in the first version that is served. Raises `Trouble`."""
        for version in self._collection.versions:
            self._api = version
            try:
                await self._list_version()
            except Refused as refused:
                if refused.status != _NOT_FOUND or version == self._collection.versions[-1]:
                    raise
            else:
                return

    async def _list_version(self) -> None:
        objects: list[Read] = []
        bound = self._timing.bound
        self._room.clear()
        accept = self._collection.accept(watch=False)
        query = self._query()
        if self._paged:
            query["limit"] = str(self._timing.page)
        while True:
            body = await self._connection.ask(
                "GET",
                self._path,
                query=query,
                accept=accept,
                silence=self._timing.silence,
                largest=bound.page if self._paged else bound.bytes,
            )
            page = answers.page(body)
            if excess := self._room.take(len(page.items or ()), len(body)):
                raise TooMuch(excess)
            objects += map(self._collection.read, page.items or ())
            if not page.metadata.more:
                break
            if page.metadata.more == query.get("continue"):
                raise Unreachable("not a list: its pages lead in a circle")
            query["continue"] = page.metadata.more
        self._paged = True
        self._room.clear()
        self._version = page.metadata.resource_version
        self._backoff.reset()
        self._count(Happened.LISTED)
        self._known = True
        self._listener.listed(objects)

    async def _watch(self) -> None:
        """Follow until the server ends the stream. Raises `Trouble`."""
        lasting = self._timing.watch.total_seconds() * (1 + self._random.random())
        query = self._query() | {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(max(1, int(lasting))),
        }
        now = asyncio.get_running_loop().time
        began, silent = now(), True
        accept = self._collection.accept(watch=True)
        async for lines in self._connection.lines(self._path, query, self._timing.stall, accept=accept):
            events, trouble = answers.events(lines)
            self._take(events)
            silent = silent and not events
            if trouble is not None:
                raise trouble
            if not self._version:
                return
        if silent and now() - began < _SHORT.total_seconds():
            raise Unreachable("it ends what it should tell of changes before it has told any")

    def _take(self, events: list[Event]) -> None:
        self._listener.watched([event for event in events if event.type != "BOOKMARK"])
        if events:
            self._version = wire.versioned(events[-1].object).metadata.resource_version or self._version
            self._backoff.reset()
            self._expiries.reset()
        if self._room.take(len(events), sum(len(event.object) for event in events)):
            self._version = ""  # what there is now may well be less than all that was said of it

    async def _absence(self, refused: Refused) -> _Absence | None:
        """How the server says that it does not have the collection: a mere 404 may be that of somebody in between.

        Kinds of the core are in every server.
        """
        if refused.status == _FORBIDDEN and self._timing.once:
            return await self._unpermitted()
        if refused.status != _NOT_FOUND:
            return None
        group, versions = self._collection.group, self._collection.versions
        try:
            if self._collection.defined:
                definition = await self._asked(f"{_DEFINITIONS}/{self._collection.name}")
                return None if wire.definition(definition).serves(versions) else _Absence.UNREAD
            if group and not wire.groups(await self._asked(_GROUPS)).serve(group, versions):
                return _Absence.UNINSTALLED
        except Refused as why:
            if self._collection.defined and why.status == _NOT_FOUND and why.reason == "NotFound":
                return _Absence.UNINSTALLED
        except (Trouble, msgspec.DecodeError):
            pass
        return None

    async def _unpermitted(self) -> _Absence:
        """What it is where it may not be listed: permission is looked at before there is anything to be listed."""
        group, versions = self._collection.group, self._collection.versions
        with contextlib.suppress(Trouble, msgspec.DecodeError):
            if group and not wire.groups(await self._asked(_GROUPS)).serve(group, versions):
                return _Absence.UNINSTALLED
        return _Absence.UNPERMITTED

    async def _asked(self, path: str) -> bytes:
        return await self._connection.ask("GET", path, silence=self._timing.silence)

    @property
    def _path(self) -> str:
        return self._collection.path(self._api)

    def _query(self) -> dict[str, str]:
        selectors = {
            "fieldSelector": self._collection.field_selector,
            "labelSelector": self._collection.label_selector,
        }
        return {name: text for name, text in selectors.items() if text}
