"""Following a real API server. ``python -m tests.bench.watching 10000``: that many Services, EndpointSlices and Pods.

They are put into etcd before the API server starts, which takes seconds where writing them through it takes minutes.
Then 100 status updates a second that say nothing to a mesh, from a process of their own.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from random import Random
from resource import RUSAGE_SELF, getrusage

from pilotpy.model.resource import Ref
from pilotpy.sources.change import Change
from pilotpy.sources.kubernetes.cluster import Cluster as Source
from pilotpy.sources.kubernetes.connection import connected
from pilotpy.sources.kubernetes.list_watch import Timing
from pilotpy.sources.kubernetes.login import default_login
from pilotpy.sources.together import Together
from tests.bench.cluster_world import NAMESPACES, cluster
from tests.bench.row import row

SECONDS = 10  # of status updates
RATE = 100


async def main(kubeconfig: str, count: int) -> None:
    """Measure one who follows."""
    case = f"{count} Services, slices and Pods"
    async with connected(default_login(kubeconfig)) as connection:
        source = Source(
            connection,
            settings=Ref("ConfigMap", "istio-system", "istio"),
            count=lambda *_: None,
            random=Random(1),
            timing=Timing(),
        )
        changes = Together([source]).watch()
        began, used = time.monotonic(), cpu()
        first = await anext(changes)
        row(case, "from nothing to all objects", time.monotonic() - began, "s", "< 5")
        row(case, "CPU of that", cpu() - used, "s")
        row(case, "memory, peak", getrusage(RUSAGE_SELF).ru_maxrss / 1024, "MB", "< 500")
        row(case, "objects", len(first), "")
        heard: list[Change] = []
        pump = asyncio.create_task(_counted(changes, heard))
        used = cpu()
        command = (sys.executable, "-m", "tests.bench.watching", "updates", kubeconfig)
        churn = await asyncio.create_subprocess_exec(*command)
        assert await churn.wait() == 0
        row(case, f"CPU at {RATE} status updates a second", (cpu() - used) / SECONDS * 100, "%")
        row(case, "changes heard of them", len(heard), "", "0")
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


async def _counted(changes: AsyncIterator[list[Change]], heard: list[Change]) -> None:
    async for batch in changes:
        heard += batch


async def updates(kubeconfig: str) -> None:
    """Write conditions into the status of Pods that no mesh reads."""
    async with connected(default_login(kubeconfig)) as connection:
        began = time.monotonic()
        for n in range(SECONDS * RATE):
            conditions = [{"type": "Noted", "status": "True", "reason": f"R{n}"}]
            path = f"/api/v1/namespaces/ns{n % NAMESPACES}/pods/app-{n % NAMESPACES}-1/status"
            patch = {"status": {"conditions": conditions}}
            content = "application/strategic-merge-patch+json"
            await connection.ask("PATCH", path, patch, content=content)
            await asyncio.sleep(max(0.0, began + (n + 1) / RATE - time.monotonic()))


def cpu() -> float:
    """Return the seconds of CPU that this process has used."""
    used = getrusage(RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def bench(count: int) -> None:
    """Bring a cluster up, and measure in a process of its own, so that what made the objects is not in its memory."""
    with cluster(count) as made:
        asyncio.run(_measured(str(made.kubeconfig), count))


async def _measured(kubeconfig: str, count: int) -> None:
    command = (sys.executable, "-m", "tests.bench.watching", "follow", kubeconfig, str(count))
    assert await (await asyncio.create_subprocess_exec(*command)).wait() == 0


match sys.argv[1:]:
    case ["follow", config, objects]:
        asyncio.run(main(config, int(objects)))
    case ["updates", config]:
        asyncio.run(updates(config))
    case [objects]:
        bench(int(objects))
