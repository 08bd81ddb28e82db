"""Following a real API server. ``python -m tests.bench.watching 10000``: that many Services, EndpointSlices and Pods.

They are put into etcd before the API server starts, which takes seconds where writing them through it takes minutes.
Then 100 status updates a second that say nothing to a mesh, from a process of their own.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random
from resource import RUSAGE_SELF, getrusage

from pilotpy.model.resource import Ref
from pilotpy.sources.change import Change
from pilotpy.sources.kubernetes.cluster import Cluster as Source
from pilotpy.sources.kubernetes.connection import connected, default_login
from pilotpy.sources.kubernetes.list_watch import Timing
from pilotpy.sources.together import Together
from tests.bench.row import row
from tests.kube import assets
from tests.kube.cluster import Cluster, Object
from tests.kube.objects import endpoint_slice, pod, running, service

NAMESPACES = 100
SECONDS = 10  # of status updates
RATE = 100


def written(count: int) -> Iterator[tuple[str, Object]]:
    """Keys of etcd and objects."""
    for i in range(NAMESPACES):
        yield f"namespaces/ns{i}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"ns{i}"}}
    for i in range(count):
        namespace, name = f"ns{i % NAMESPACES}", f"app-{i}"
        address = f"10.{96 + (i >> 16)}.{i >> 8 & 255}.{i & 255}"
        one = service(namespace, name)
        one["spec"] |= {"clusterIP": address, "clusterIPs": [address], "type": "ClusterIP", "ipFamilies": ["IPv4"]}
        yield f"services/specs/{namespace}/{name}", one
        yield f"ipaddresses/{address}", _taken(address, namespace, name)
        places = [f"10.{i >> 8 & 255}.{i & 255}.{k + 1}" for k in range(5)]
        yield f"endpointslices/{namespace}/{name}-1", endpoint_slice(namespace, name, *places)
        labels = {"app": name, "version": "v1", "pod-template-hash": "7d9f8c6b5"}
        one = running(pod(namespace, f"{name}-1", "default", **labels), places[0])
        # What real Pods are mostly made of, and what nobody here reads.
        one["spec"]["containers"][0]["env"] = [{"name": f"SETTING_{k}", "value": "x" * 40} for k in range(40)]
        one["metadata"]["annotations"] = {f"example.com/note-{k}": "x" * 300 for k in range(8)}
        yield f"pods/{namespace}/{name}-1", one


def _taken(address: str, namespace: str, name: str) -> Object:
    """What the API server notes of an address that a Service has; without, it would begin to repair."""
    labels = {
        "ipaddress.kubernetes.io/ip-family": "IPv4",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    }
    parent = {"group": "", "resource": "services", "namespace": namespace, "name": name}
    metadata = {"name": address, "labels": labels}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": metadata,
        "spec": {"parentRef": parent},
    }


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
        row(case, "from nothing to all objects", time.monotonic() - began, "s")
        row(case, "CPU of that", cpu() - used, "s")
        row(case, "memory, peak", getrusage(RUSAGE_SELF).ru_maxrss / 1024, "MB")
        row(case, "objects", len(first), "")
        heard: list[Change] = []
        pump = asyncio.create_task(_counted(changes, heard))
        used = cpu()
        command = (sys.executable, "-m", "tests.bench.watching", "updates", kubeconfig)
        churn = await asyncio.create_subprocess_exec(*command)
        assert await churn.wait() == 0
        row(case, f"CPU at {RATE} status updates a second", (cpu() - used) / SECONDS * 100, "%")
        row(case, "changes heard of them", len(heard), "")
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
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(assets.folder(), Path(folder))
        try:
            cluster.fill(written(count))
            cluster.server.start()
            asyncio.run(_measured(str(cluster.kubeconfig), count))
        finally:
            cluster.stop()


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
