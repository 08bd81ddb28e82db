"""One of the other clusters of a mesh, followed by one kubeconfig of somebody else's, which may be wrong or hostile.

What is wrong with it ends the following of this one, and disturbs no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
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
from pilotpy.sources.kubernetes.collection import REMOTE
from pilotpy.sources.kubernetes.connection import Connection, connected
from pilotpy.sources.kubernetes.foreign import foreign_change
from pilotpy.sources.kubernetes.list_watch import Timing
from pilotpy.sources.kubernetes.login import written_login
from pilotpy.sources.kubernetes.room import GENEROUS, Bound
from pilotpy.sources.kubernetes.trouble import Unusable
from pilotpy.sources.kubernetes.vetting import vetted

PATIENCE: Final = timedelta(seconds=30)
NO_SETTINGS: Final = Ref("ConfigMap", "", "")
Sync = Literal["synced", "syncing", "timeout", "closed"]
_LOG: Final = logging.getLogger("pilotpy.kubernetes")


class Follow(NamedTuple):
    """How clusters are followed, all alike."""

    counted: Count
    random: Random
    timing: Timing
    patience: timedelta = PATIENCE  # for how long one that is not heard keeps others waiting
    late: Callable[[str], None] = lambda cluster: None  # noqa: ARG005  # called for each that has done so
    bound: Bound = GENEROUS  # what others may say


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
    def sync(self) -> Sync:
        """How far it is heard."""
        if self._end is not None:
            return "closed"
        return "synced" if self.is_heard else "timeout" if self._is_late else "syncing"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What keeps it from being heard."""
        if self._end is not None:
            return (trouble_with(f"Cluster {self.name} cannot be followed: {self._end}"),)
        found = self._cluster.findings if self._cluster is not None else ()
        return tuple(replace(one, message=f"Cluster {self.name}: {one.message}") for one in found)

    @property
    def endpoints_without_pods(self) -> int:
        """How many addresses there are of Pods that nothing was told of."""
        return self._cluster.endpoints_without_pods if self._cluster is not None else 0

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
                settings=NO_SETTINGS,
                count=lambda collection, happened: follow.counted(f"{self.name}/{collection}", happened),
                random=follow.random,
                timing=follow.timing._replace(bound=follow.bound),
                collections=REMOTE,
            )
            async for batch in self._cluster.watch():
                self.changes += [foreign_change(change, self.name) for change in batch]
                self.is_heard = True
                self._stir()


def trouble_with(message: str, ref: Ref | None = None) -> Finding:
    """A finding about a cluster."""
    return Finding(
        code=codes.UNHEARD,
        severity=Severity.ERROR,
        message=message,
        ref=ref,
        hint="Mend its Secret; what the cluster said last still counts",
    )
