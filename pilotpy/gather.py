"""What a control plane follows: folders, a cluster and those that it names, or both, as one source."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, MutableMapping
from random import Random
from typing import TYPE_CHECKING

from pilotpy.model.resource import Ref
from pilotpy.ops.metrics import Metrics
from pilotpy.ops.settings import Settings
from pilotpy.sources.folder import Folder
from pilotpy.sources.together import Followed, Source, Together

if TYPE_CHECKING:
    from pilotpy.sources.kubernetes.cluster import Count
    from pilotpy.sources.kubernetes.connection import Connection
    from pilotpy.sources.kubernetes.exposition import ClusterMetrics
    from pilotpy.sources.kubernetes.login import Login
    from pilotpy.sources.kubernetes.mirror import Told


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
    async with contextlib.AsyncExitStack() as inside:
        sources: list[Source] = [folder]
        followed: Callable[[], list[Followed]] | None = None
        if login is not None:
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
            connection = await inside.enter_async_context(connected(login))
            told = ClusterMetrics(
                settings.cluster_id,
                lambda: clusters.states,
                lambda: own.endpoints_without_pods + clusters.endpoints_without_pods,
            )
            follow = Follow(
                _counting(metrics, told),
                Random(),  # noqa: S311 - pauses need no secrecy
                Timing(),
                settings.remote_cluster_patience,
                metrics.late_clusters.add,
                GENEROUS._replace(objects=settings.remote_cluster_objects, bytes=settings.remote_cluster_bytes),
            )
            clusters = Clusters(connection, settings.system_namespace, settings.cluster_id, follow, servers)
            metrics.registry.register(told)
            inside.callback(metrics.registry.unregister, told)
            own = Cluster(
                connection,
                settings=mesh_config_map(settings),
                count=follow.counted,
                random=follow.random,
                timing=follow.timing,
                collections=watched(COLLECTIONS, settings),
            )
            sources += [own, clusters]

            def followed() -> list[Followed]:
                first = Followed(settings.cluster_id, "", "synced" if own.is_synced else "syncing")
                others = (
                    Followed(name, f"{secret.namespace}/{secret.name}", sync) for name, secret, sync in clusters.states
                )
                return [first, *others]

        yield Together(sources, settings.revision, followed)


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
