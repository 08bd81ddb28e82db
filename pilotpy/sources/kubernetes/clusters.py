"""The other clusters of a mesh: those that Secrets with the label ``istio/multiCluster=true`` give a way into.

Each key of such a Secret is a cluster's name, its value a kubeconfig. Clusters come and go with their Secrets; where a
kubeconfig changes, all is heard by the new one before the old one is left. What is wrong with one cluster disturbs no
other, and after a while keeps nobody waiting. Source: istio pkg/kube/multicluster/{secretcontroller,cluster}.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, MutableMapping
from typing import Final, NamedTuple

from pilotpy.model.resource import Finding, Ref
from pilotpy.sources.change import Change
from pilotpy.sources.kubernetes.cluster import Cluster
from pilotpy.sources.kubernetes.collection import Collection, remote_secrets
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.member import NO_SETTINGS, Follow, Member, Sync, trouble_with
from pilotpy.sources.layers import Layers

REMOTE_SECRETS: Final = "remote-secrets"
"""How those that say how other clusters are logged in to are counted, apart from all Secrets."""


class State(NamedTuple):
    """How it stands with one of the other clusters."""

    cluster: str
    secret: Ref
    sync: Sync


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
        members = self._followed
        return [State(name, self._origins[name], members[name].sync) for name in sorted(members)]

    @property
    def endpoints_without_pods(self) -> int:
        """How many addresses there are in all of them, of Pods that nothing was told of."""
        return sum(one.endpoints_without_pods for one in self._followed.values())

    @property
    def _followed(self) -> dict[str, Member]:
        return self._coming | self._members

    async def watch(self) -> AsyncGenerator[list[Change]]:
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
                    doubles.append(trouble_with(f"Cluster {name} is in two Secrets: this one does not count", ref))
                else:
                    wanted[name] = kubeconfig
                    self._origins[name] = ref
        self._doubles = tuple(doubles)
        return wanted


def _secrets(connection: Connection, collection: Collection, follow: Follow) -> Cluster:
    return Cluster(
        connection,
        settings=NO_SETTINGS,
        count=lambda _, happened: follow.counted(REMOTE_SECRETS, happened),
        random=follow.random,
        timing=follow.timing,
        collections=(collection,),
    )
