"""What a control plane follows: folders, a cluster and those that it names, or both, as one source; and one look."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, MutableMapping
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Final

from pilotpy.model.resource import Ref
from pilotpy.ops.metrics import Metrics
from pilotpy.ops.settings import Settings
from pilotpy.schema.codes import UNHEARD
from pilotpy.sources.folder import Folder
from pilotpy.sources.snapshot import Snapshot
from pilotpy.sources.together import Followed, Together

if TYPE_CHECKING:
    from pilotpy.sources.kubernetes.cluster import Cluster, Count
    from pilotpy.sources.kubernetes.clusters import Clusters
    from pilotpy.sources.kubernetes.connection import Connection
    from pilotpy.sources.kubernetes.exposition import ClusterMetrics
    from pilotpy.sources.kubernetes.list_watch import Timing
    from pilotpy.sources.kubernetes.login import Login
    from pilotpy.sources.kubernetes.mirror import Told

PATIENCE: Final = timedelta(minutes=1)
"""With a cluster that is looked at once: other clusters have half of it, unless they are given more."""


@contextlib.asynccontextmanager
async def gathered(
    folder: Folder,
    login: Login | None,
    settings: Settings,
    metrics: Metrics,
    servers: MutableMapping[str, Connection] | None = None,
) -> AsyncIterator[Together]:
    """A folder; with a `login`, a cluster under it, and others under that. Raises `Unusable` where it is none.

    `servers` is kept to the API servers of the others, by their clusters' names.
    """
    if login is None:
        yield Together([folder], settings.revision)
        return
    async with _clusters(login, settings, metrics, servers) as (own, others):

        def followed() -> list[Followed]:
            first = Followed(settings.cluster_id, "", "synced" if own.is_synced else "syncing")
            states = (Followed(name, f"{secret.namespace}/{secret.name}", sync) for name, secret, sync in others.states)
            return [first, *states]

        yield Together([folder, own, others], settings.revision, followed)


async def snapshot(login: Login, settings: Settings, patience: timedelta = PATIENCE) -> Snapshot:
    """A cluster and those that it names, as they are now. What may not be listed is a finding, and empty.

    Raises `Trouble` where the cluster does not answer in time, or not to who asks.
    """
    from pilotpy.sources.kubernetes.connection import connected
    from pilotpy.sources.kubernetes.list_watch import Timing
    from pilotpy.sources.kubernetes.trouble import Unreachable

    async with connected(login) as connection:  # who does not answer at all is not waited for
        await connection.ask("GET", "/version", silence=patience)
    async with contextlib.AsyncExitStack() as inside:
        sources = await inside.enter_async_context(_clusters(login, settings, Metrics(), None, Timing(once=True)))
        watches = [await inside.enter_async_context(contextlib.aclosing(source.watch())) for source in sources]
        try:
            async with asyncio.timeout(patience.total_seconds()):
                said = await asyncio.gather(*map(anext, watches))
        except TimeoutError:
            why = next((one.message for source in sources for one in source.findings if one.code == UNHEARD), "")
            raise Unreachable(why or f"not all was listed within {patience.total_seconds():.0f} seconds") from None
        findings = tuple(finding for source in sources for finding in source.findings)
        return Snapshot(said, findings, settings.cluster_id, settings.revision)


@contextlib.asynccontextmanager
async def _clusters(
    login: Login,
    settings: Settings,
    metrics: Metrics,
    servers: MutableMapping[str, Connection] | None,
    timing: Timing | None = None,
) -> AsyncIterator[tuple[Cluster, Clusters]]:
    """A cluster, and those that it names."""
    from pilotpy.sources.kubernetes.cluster import Cluster
    from pilotpy.sources.kubernetes.clusters import Clusters
    from pilotpy.sources.kubernetes.collection import COLLECTIONS
    from pilotpy.sources.kubernetes.connection import connected
    from pilotpy.sources.kubernetes.exposition import ClusterMetrics
    from pilotpy.sources.kubernetes.list_watch import Timing
    from pilotpy.sources.kubernetes.member import Follow
    from pilotpy.sources.kubernetes.room import GENEROUS
    from pilotpy.sources.kubernetes.watched import watched

    await login()  # what is wrong with it now is said now, and not tried for ever
    async with connected(login) as connection:
        told = ClusterMetrics(
            settings.cluster_id,
            lambda: others.states,
            lambda: own.endpoints_without_pods + others.endpoints_without_pods,
        )
        follow = Follow(
            _counting(metrics, told),
            Random(),  # noqa: S311 - pauses need no secrecy
            timing or Timing(),
            settings.remote_cluster_patience,
            metrics.late_clusters.add,
            GENEROUS._replace(objects=settings.remote_cluster_objects, bytes=settings.remote_cluster_bytes),
        )
        others = Clusters(connection, settings.system_namespace, settings.cluster_id, follow, servers)
        own = Cluster(
            connection,
            settings=mesh_config_map(settings),
            count=follow.counted,
            random=follow.random,
            timing=follow.timing,
            collections=watched(COLLECTIONS, settings),
        )
        metrics.registry.register(told)
        try:
            yield own, others
        finally:
            metrics.registry.unregister(told)


def mesh_config_map(settings: Settings) -> Ref:
    """The ConfigMap of MeshConfig: each revision has its own."""
    suffix = f"-{settings.revision}" if settings.revision not in {"", "default"} else ""
    return Ref("ConfigMap", settings.system_namespace, f"istio{suffix}")


def _counting(metrics: Metrics, told: ClusterMetrics) -> Count:
    from pilotpy.sources.kubernetes.list_watch import Happened

    tallies = {
        Happened.LISTED: metrics.lists,
        Happened.EXPIRED: metrics.expiries,
        Happened.FAILED: metrics.failures,
    }

    def count(collection: str, what: Happened | Told) -> None:
        if isinstance(what, Happened):
            tallies[what].add(collection)
            if what is Happened.FAILED:
                told.fail(collection)
        else:
            told.count(collection, what)

    return count
