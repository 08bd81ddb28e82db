"""Somebody who follows a cluster over a link, and remembers all that was ever said."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random
from urllib.parse import urlsplit

import yaml

from pilotpy.model.resource import Ref
from pilotpy.sources.kubernetes.cluster import Cluster
from pilotpy.sources.kubernetes.connection import connected
from pilotpy.sources.kubernetes.list_watch import Timing
from pilotpy.sources.kubernetes.login import written_login
from pilotpy.sources.together import Together
from tests.kube.link import Link, linked
from tests.sources.following import Follower

TIMING = Timing(stall=timedelta(seconds=100), longest_pause=timedelta(seconds=1))


class Watcher(Follower):
    """What follows, and what it follows over."""

    def __init__(self, cluster: Cluster, link: Link) -> None:
        super().__init__(Together([cluster]))
        self.cluster = cluster
        self.link = link
        self.counted: list[tuple[str, str]] = []

    def names(self, kind: str, namespace: str) -> set[str]:
        return {ref.name for ref in self.objects if ref.kind == kind and ref.namespace == namespace}

    def one(self, kind: str, namespace: str, name: str):
        return self.objects.get(Ref(kind, namespace, name))


@asynccontextmanager
async def watching(apiserver, *, timing: Timing = TIMING, settings: Ref | None = None) -> AsyncIterator[Watcher]:
    kubeconfig = yaml.safe_load(apiserver.kubeconfig.read_text())
    counted: list[tuple[str, str]] = []
    async with linked(urlsplit(apiserver.url).port) as link:
        kubeconfig["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{link.port}"
        async with connected(written_login(kubeconfig)) as connection:
            cluster = Cluster(
                connection,
                settings=settings or Ref("ConfigMap", "istio-system", "istio"),
                count=lambda name, happened: counted.append((name, happened.name)),
                random=Random(1),
                timing=timing,
            )
            watcher = Watcher(cluster, link)
            watcher.counted = counted
            pump = asyncio.create_task(watcher.pump())
            try:
                await watcher.until(lambda: watcher.batches or pump.done(), within=20)
                yield watcher
            finally:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)
            if not pump.cancelled():
                pump.result()
