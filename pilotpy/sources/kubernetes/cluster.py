"""A cluster as a source: all that its API server holds and a mesh reads, and what changes of it.

Nothing is told before every collection has been listed once; a collection that is not installed is empty. While the
server cannot be heard, what it said last counts, and a finding says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from random import Random
from typing import Any

from pilotpy.model.kubernetes import EndpointSlice
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.ops.logs import fields
from pilotpy.schema import codes
from pilotpy.sources.change import Change
from pilotpy.sources.kubernetes.collection import COLLECTIONS, DEFINITIONS, Collection
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.list_watch import Happened, ListWatch, Timing
from pilotpy.sources.kubernetes.mirror import Mirror, Told
from pilotpy.sources.kubernetes.trouble import Trouble, Unpermitted
from pilotpy.sources.kubernetes.wire import Event, Read
from pilotpy.sources.mesh_settings import MeshSettings

_LOG = logging.getLogger("pilotpy.kubernetes")

Count = Callable[[str, Happened | Told], None]  # to which collection what happened, or what was told of it


class Cluster:
    """Follows one cluster over a connection to its API server."""

    def __init__(  # noqa: PLR0913 - what a cluster is followed with
        self,
        connection: Connection,
        *,
        settings: Ref,
        count: Count,
        random: Random,
        timing: Timing | None = None,
        collections: Sequence[Collection] = COLLECTIONS,
    ) -> None:
        """`settings`: the ConfigMap that holds MeshConfig and MeshNetworks."""
        self._settings_ref = settings
        self._settings = MeshSettings(())
        self._changes: list[Change] = []
        self._news = asyncio.Event()
        self._all = [_Kind(one, self._heard, self._stirred, count) for one in collections]
        if any(one.defined for one in collections):
            self._all.append(_Kind(DEFINITIONS, self._defined, self._stirred, count))
        timing = timing or Timing()
        self._loops = {
            kind: ListWatch(
                connection,
                kind.collection,
                kind,
                timing=timing,
                random=random,
                count=partial(count, kind.collection.name),
            )
            for kind in self._all
        }

    @property
    def is_synced(self) -> bool:
        """Whether every collection has been listed once."""
        return all(kind.is_listed for kind in self._all)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the objects, and what the server does not let us hear; now."""
        found = [finding for kind in self._all for finding in kind.findings]
        return (*found, *self._settings.findings)

    @property
    def endpoints_without_pods(self) -> int:
        """How many addresses there are, of Pods that nothing was told of; 0 before all is known."""
        if not self.is_synced:
            return 0
        pods = {ref for kind in self._all if kind.collection.kind == "Pod" for ref in kind.objects}
        slices = (one for kind in self._all if kind.collection.kind == "EndpointSlice" for one in kind.objects.values())
        return sum(podless(one, pods) for one in slices)

    async def watch(self) -> AsyncGenerator[list[Change]]:
        """All that there is, once all of it is known; then what changes, for ever. A batch may be empty."""
        tasks = [
            asyncio.create_task(loop.run(), name=f"watch {kind.collection.name}") for kind, loop in self._loops.items()
        ]
        for task in tasks:
            task.add_done_callback(lambda _: self._stirred())
        self._stirred()  # begun again, it may have nothing new to say: that is to be said, too
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                for task in tasks:
                    if task.done():
                        task.result()
                if self.is_synced:
                    changes, self._changes = self._changes, []
                    yield changes
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _heard(self, changes: list[Change]) -> None:
        for change in changes:
            self._changes.append(change)
            if change.ref == self._settings_ref:
                data = change.new.spec.data if change.new else {}
                self._changes += self._settings.from_data(data, str(change.ref))
        if changes:
            self._stirred()

    def _defined(self, changes: list[Change]) -> None:
        names = {change.ref.name for change in changes}
        for kind, loop in self._loops.items():
            if kind.collection.name in names:
                loop.look_again()

    def _stirred(self) -> None:
        self._news.set()


class _Kind:
    """One collection, as its loop hears of it."""

    def __init__(
        self, collection: Collection, tell: Callable[[list[Change]], None], stir: Callable[[], None], count: Count
    ) -> None:
        self.collection = collection
        self.is_listed = False
        self._mirror = Mirror(collection, partial(count, collection.name))
        self._tell = tell
        self._stir = stir
        self._trouble: Trouble | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        unheard = (_unheard(self.collection, self._trouble),) if self._trouble else ()
        return (*self._mirror.findings, *unheard)

    @property
    def objects(self) -> Mapping[Ref, Resource[Any]]:
        return self._mirror.objects

    def listed(self, objects: list[Read]) -> None:
        self._take(partial(self._mirror.replace, objects))
        if not self.is_listed:
            self.is_listed = True
            self._stir()

    def watched(self, events: list[Event]) -> None:
        self._take(partial(self._mirror.update, events))

    def troubled(self, trouble: Trouble) -> None:
        if str(self._trouble) != str(trouble):
            self._trouble = trouble
            if not self.is_listed:  # nobody is told of findings before all is known
                _LOG.warning("waiting for the API server", extra=fields(of=self.collection.name, why=str(trouble)))
            self._stir()

    def _take(self, changes: Callable[[], list[Change]]) -> None:
        self._clear()
        before = self._mirror.findings
        self._tell(changes())
        if self._mirror.findings != before:  # what does not count changes nothing, and is still to be told of
            self._stir()

    def _clear(self) -> None:
        if self._trouble is not None:
            self._trouble = None
            self._stir()


def podless(piece: Resource[EndpointSlice], pods: AbstractSet[Ref]) -> int:
    """How many addresses of a slice are those of Pods that are not among some."""
    targets = ((one, one.target_ref) for one in piece.spec.endpoints)
    named = ((one, target) for one, target in targets if target is not None and target.kind == "Pod")
    return sum(
        len(one.addresses)
        for one, target in named
        if Ref("Pod", target.namespace or piece.ref.namespace, target.name) not in pods
    )


def _unheard(collection: Collection, trouble: Trouble) -> Finding:
    if isinstance(trouble, Unpermitted):
        return Finding(
            code=codes.UNPERMITTED,
            severity=Severity.WARNING,
            message=f"{collection.name} are taken to be none: you may not list them",
            hint="Ask for leave to list them; until then, doubt what is said of objects that name such",
        )
    return Finding(
        code=codes.UNHEARD,
        severity=Severity.ERROR,
        message=f"{collection.name} cannot be watched: {trouble}",
        hint="What the API server said of them last still counts",
    )
