"""The other clusters of a mesh: those that Secrets with the label ``istio/multiCluster=true`` give a way into.

Each key of such a Secret is a cluster's name, its value a kubeconfig. Clusters come and go with their Secrets; where a
kubeconfig changes, all is heard by the new one before the old one is left. What is wrong with one cluster disturbs no
other, and after a while keeps nobody waiting. Source: istio pkg/kube/multicluster/{secretcontroller,cluster}.go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from pilotpy.model.resource import Finding, Ref, Severity
from pilotpy.ops.logs import fields
from pilotpy.schema import codes
from pilotpy.sources.change import Change
from pilotpy.sources.kubernetes.cluster import Cluster, Count
from pilotpy.sources.kubernetes.collection import REMOTE, Collection, remote_secrets
from pilotpy.sources.kubernetes.connection import Connection, connected
from pilotpy.sources.kubernetes.foreign import foreign_change
from pilotpy.sources.kubernetes.list_watch import Timing
from pilotpy.sources.kubernetes.login import written_login
from pilotpy.sources.kubernetes.room import GENEROUS, Bound
from pilotpy.sources.kubernetes.trouble import Unusable
from pilotpy.sources.kubernetes.vetting import vetted
from pilotpy.sources.layers import Layers

PATIENCE: Final = timedelta(seconds=30)
_NO_SETTINGS: Final = Ref("ConfigMap", "", "")
_LOG: Final = logging.getLogger("pilotpy.kubernetes")


class Follow(NamedTuple):
    """How clusters are followed, all alike."""

    counted: Count
    random: Random
    timing: Timing
    patience: timedelta = PATIENCE  # for how long one that is not heard keeps others waiting
    late: Callable[[str], None] = lambda cluster: None  # noqa: ARG005  # called for each that has done so
    bound: Bound = GENEROUS  # what others may say


class State(NamedTuple):
    """How it stands with one of the other clusters."""

    cluster: str
    secret: Ref
    sync: Literal["synced", "syncing", "timeout", "closed"]


class Member:
    """One of the other clusters, followed by one kubeconfig."""

    def __init__(self, name: str, kubeconfig: bytes, follow: Follow, stir: Callable[[], None]) -> None:
        self.name = name
        self.kubeconfig = kubeconfig
        self.is_heard = False
        self.changes: list[Change] = []
        self._follow = follow
        self._stir = stir
        self.connection: Connection | None = None  # once it is there
        self._cluster: Cluster | None = None
        self._end: Exception | None = None  # why it is followed no longer
        self._is_late = False
        self._alarm = asyncio.get_running_loop().call_later(follow.patience.total_seconds(), self._ring)
        self._task = asyncio.create_task(self._run(), name=f"cluster {name}")

    @property
    def is_awaited(self) -> bool:
        """Whether it may be heard soon."""
        return self.sync == "syncing"

    @property
    def sync(self) -> Literal["synced", "syncing", "timeout", "closed"]:
        """How far it is heard."""
        if self._end is not None:
            return "closed"
        return "synced" if self.is_heard else "timeout" if self._is_late else "syncing"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What keeps it from being heard."""
        if self._end is not None:
            return (_finding(f"Cluster {self.name} cannot be followed: {self._end}"),)
        found = self._cluster.findings if self._cluster is not None else ()
        return tuple(replace(one, message=f"Cluster {self.name}: {one.message}") for one in found)

    def taken(self) -> list[Change]:
        """What it has said since this was asked last."""
        changes, self.changes = self.changes, []
        return changes

    async def leave(self) -> None:
        """Follow it no longer."""
        self._alarm.cancel()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        try:
            await self._followed()
        except Unusable as unusable:
            self._end = unusable
        except Exception as fault:  # noqa: BLE001 - of ours; what one cluster says must not cost the others
            _LOG.critical("cluster not followed any more", extra=fields(cluster=self.name), exc_info=fault)
            self._end = fault
        self._stir()

    def _ring(self) -> None:
        """It has kept others waiting for long enough."""
        if self.is_awaited:
            self._is_late = True
            self._follow.late(self.name)
            self._stir()

    async def _followed(self) -> None:
        """Follow it, for ever. Raises `Unusable`."""
        login = written_login(vetted(self.kubeconfig))
        await login()
        follow = self._follow
        async with connected(login) as connection:
            self.connection = connection
            self._cluster = Cluster(
                connection,
                settings=_NO_SETTINGS,
                count=lambda collection, happened: follow.counted(f"{self.name}/{collection}", happened),
                random=follow.random,
                timing=follow.timing._replace(bound=follow.bound),
                collections=REMOTE,
            )
            async for batch in self._cluster.watch():
                self.changes += [foreign_change(change, self.name) for change in batch]
                self.is_heard = True
                self._stir()


class Clusters:
    """All of the other clusters, as one source."""

    def __init__(
        self,
        connection: Connection,
        namespace: str,
        own: str,
        follow: Follow,
        servers: MutableMapping[str, Connection] | None = None,
    ) -> None:
        """`namespace`: where the Secrets are; `own`: the name of the cluster that they are in.

        `servers` has the API servers of those that are heard, by their clusters' names, for whoever else asks them.
        """
        self._own = own
        self._servers = {} if servers is None else servers
        self._follow = follow
        self._news = asyncio.Event()
        self._secrets = _secrets(connection, remote_secrets(namespace), follow)
        self._held: dict[Ref, Mapping[str, bytes]] = {}
        self._layers: Layers[str] = Layers()
        self._members: dict[str, Member] = {}  # those that are heard, and count
        self._coming: dict[str, Member] = {}  # those that are not heard yet
        self._origins: dict[str, Ref] = {}  # the Secret of each
        self._doubles: tuple[Finding, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with them now."""
        members = [*self._members.values(), *self._coming.values()]
        found = [finding for member in members for finding in member.findings]
        return (*found, *self._doubles, *self._secrets.findings)

    @property
    def states(self) -> list[State]:
        """How it stands with each, sorted by name. One whose kubeconfig has changed is as it was by the last one."""
        members = self._coming | self._members
        return [State(name, self._origins[name], members[name].sync) for name in sorted(members)]

    async def watch(self) -> AsyncIterator[list[Change]]:
        """What runs in them, once all are heard that can be in time; then what changes, for ever."""
        told = asyncio.create_task(self._read_secrets(), name="remote secrets")
        told.add_done_callback(lambda _: self._news.set())
        waiting: list[Change] | None = []
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                if told.done():
                    told.result()
                changes = await self._taken()
                if waiting is None:
                    yield changes
                    continue
                waiting += changes
                if self._secrets.is_synced and not any(member.is_awaited for member in self._coming.values()):
                    yield waiting
                    waiting = None
        finally:
            told.cancel()
            await asyncio.gather(told, return_exceptions=True)
            left = (*self._members.values(), *self._coming.values())
            self._members.clear()  # what they said counts, and is heard again if this is begun again
            self._coming.clear()
            self._news.set()
            for member in left:
                await member.leave()

    async def _read_secrets(self) -> None:
        async for batch in self._secrets.watch():
            for change in batch:
                self._held.pop(change.ref, None)
                if change.new is not None:
                    self._held[change.ref] = change.new.spec.data
            self._news.set()

    async def _taken(self) -> list[Change]:
        """What all that has happened changes."""
        changes: list[Change] = []
        wanted = self._wanted()
        for name in {*self._members, *self._coming} - wanted.keys():
            for member in (self._coming.pop(name, None), self._members.pop(name, None)):
                if member is not None:
                    await member.leave()
            self._servers.pop(name, None)
            changes += self._layers.drop(name)
        for name, kubeconfig in wanted.items():
            await self._follow_by(name, kubeconfig)
        for name, member in list(self._coming.items()):
            said = member.taken()
            if member.is_heard:
                changes += self._layers.replace(name, said)
                if (last := self._members.get(name)) is not None:
                    await last.leave()
                self._members[name] = self._coming.pop(name)
                if member.connection is not None:
                    self._servers[name] = member.connection
        for name, member in self._members.items():
            changes += self._layers.uppermost(name, member.taken())
        return changes

    async def _follow_by(self, name: str, kubeconfig: bytes) -> None:
        """Follow a cluster by this kubeconfig, unless it is already."""
        coming = self._coming.get(name)
        last = coming or self._members.get(name)
        if last is not None and last.kubeconfig == kubeconfig:
            return
        if coming is not None:
            await coming.leave()
        self._coming[name] = Member(name, kubeconfig, self._follow, self._news.set)

    def _wanted(self) -> dict[str, bytes]:
        """The kubeconfig of each cluster; of two, that of the Secret that comes first."""
        wanted: dict[str, bytes] = {}
        doubles = []
        for ref, data in sorted(self._held.items()):
            for name, kubeconfig in sorted(data.items()):
                if name == self._own:
                    continue
                if name in wanted:
                    doubles.append(_finding(f"Cluster {name} is in two Secrets: this one does not count", ref))
                else:
                    wanted[name] = kubeconfig
                    self._origins[name] = ref
        self._doubles = tuple(doubles)
        return wanted


def _secrets(connection: Connection, collection: Collection, follow: Follow) -> Cluster:
    return Cluster(
        connection,
        settings=_NO_SETTINGS,
        count=follow.counted,
        random=follow.random,
        timing=follow.timing,
        collections=(collection,),
    )


def _finding(message: str, ref: Ref | None = None) -> Finding:
    return Finding(
        code=codes.UNHEARD,
        severity=Severity.ERROR,
        message=message,
        ref=ref,
        hint="Mend its Secret; what the cluster said last still counts",
    )
