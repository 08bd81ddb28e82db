"""A control plane of a real API server, as a process of its own. ``python -m tests.bench.kube 1000`` or ``... 10000``.

With 1000 Services, EndpointSlices and Pods: from an accepted write to the last ACK of 100 simulated sidecars, and from
the kill of the control plane until 1000 of them have come back to the next. With 10 000: until it is ready, and what it
does while statuses change that nobody is served. API server, etcd and sidecars are on the same machine.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import msgspec

from pilotpy.ops.settings import Settings
from pilotpy.sources.kubernetes.connection import Connection, connected
from pilotpy.sources.kubernetes.login import default_login
from tests.bench.cluster_plane import Look, Push, Started
from tests.bench.cluster_world import cluster
from tests.bench.row import row
from tests.kube.cluster import Cluster, free_port, path_of
from tests.kube.objects import definition, endpoint_slice, virtual_service
from tests.kube.waiting import eventually

EDITS = 100
SIDECARS, RETURNING, RESTING = 100, 1000, 10
_AIMED_AT = 10_000  # Services
SECONDS = 10  # that rest is watched for

_IDLE = 0.01  # seconds of CPU in half a second
_MERGE = "application/merge-patch+json"
_LINE = 2**20
_ROUTES = definition("virtualservices", "VirtualService", "networking.istio.io", "v1")
_ROUTE = virtual_service("ns0", "app-0", "app-0")

Edit = Callable[[int], Awaitable[Any]]


class Plane:
    """A control plane that runs."""

    def __init__(self, process: asyncio.subprocess.Process, address: str, started: Started) -> None:
        """``started``: how."""
        self.process = process
        self.address = address
        self.started = started

    async def look(self) -> Look:
        """Return what it did since the last look."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        return msgspec.json.decode(await _line(self.process), type=Look)

    async def push(self) -> Push:
        """Wait until what was sent last has been ACKed by all."""
        while not (found := (await self.look()).pushes) or found[-1].finished is None:
            await asyncio.sleep(0.005)
        return found[-1]


@asynccontextmanager
async def plane(kubeconfig: Path, port: int) -> AsyncIterator[Plane]:
    """Start one, and wait until it serves; killed at the end if it still runs."""
    async with _program("cluster_plane", str(kubeconfig), str(port)) as process:
        started = msgspec.json.decode(await _line(process), type=Started)
        yield Plane(process, f"127.0.0.1:{port}", started)


@asynccontextmanager
async def fleet(address: str, count: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Sidecars, once all hold everything."""
    async with _program("tests.xds.fleet", address, str(count)) as process:
        await _line(process)
        yield process


@asynccontextmanager
async def _program(module: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    name = module if "." in module else f"tests.bench.{module}"
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", name, *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=_LINE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    line = await process.stdout.readline()
    assert line, "it ended"
    return line


async def pushed(made: Cluster, count: int) -> None:
    """Measure writes, then a restart."""
    case = f"Kubernetes, {count} Services"
    login, port = default_login(made.kubeconfig), free_port()
    async with connected(login) as connection:

        async def routed(n: int) -> None:
            weights = [
                {"destination": {"host": f"app-{k}"}, "weight": w} for k, w in ((0, 99 - n % 99), (100, n % 99 + 1))
            ]
            await _patch(connection, _ROUTE, {"spec": {"http": [{"route": weights}]}})

        async def moved(n: int) -> None:
            one = endpoint_slice("ns0", "app-0", f"10.200.0.{n + 1}")
            await _patch(connection, one, {"endpoints": one["endpoints"]})

        async with plane(made.kubeconfig, port) as serving, fleet(serving.address, SIDECARS) as sidecars:
            await _settled(serving)
            for what, edit, window in (
                ("VirtualService", routed, Settings().debounce_after),
                ("EndpointSlice", moved, Settings().endpoint_window),
            ):
                await _edits(f"{case}, {SIDECARS} sidecars", what, edit, window, serving, sidecars)
        await _restarted(case, made, free_port())


async def _settled(serving: Plane) -> None:
    """Wait until nothing is under way: all is ACKed, and hardly any CPU is used."""
    before = await serving.look()
    while True:
        await asyncio.sleep(0.5)
        now = await serving.look()
        if now.cpu - before.cpu < _IDLE and all(push.finished is not None for push in now.pushes):
            return
        before = now


async def _edits(  # noqa: PLR0917 - what is measured, of whom
    case: str, what: str, edit: Edit, window: timedelta, serving: Plane, sidecars: asyncio.subprocess.Process
) -> None:
    heard, acked = [], []
    for n in range(EDITS):
        await edit(n)
        accepted = time.monotonic()
        await _line(sidecars)
        push = await serving.push()
        assert push.finished is not None
        assert push.acked == SIDECARS, f"{push.acked} of {SIDECARS} took it"
        heard.append(push.seen - accepted)
        acked.append(push.finished - accepted - window.total_seconds())
    row(case, f"{what} accepted -> seen, p50", median(heard) * 1000, "ms")
    without = f"(window of {window.total_seconds() * 1000:.0f} ms apart)"
    row(case, f"{what} accepted -> last ACK {without}, p50", median(acked) * 1000, "ms")
    row(case, f"{what} accepted -> last ACK {without}, p99", quantiles(acked, n=100)[98] * 1000, "ms")


async def _restarted(case: str, made: Cluster, port: int) -> None:
    case = f"{case}, {RETURNING} sidecars"
    async with plane(made.kubeconfig, port) as first, _program("returning", first.address, str(RETURNING)) as fleet:
        await _line(fleet)
        first.process.kill()
        killed = time.monotonic()
        await first.process.wait()
        async with plane(made.kubeconfig, port) as second:
            row(case, "restart: begun -> ready", second.started.ready, "s")
            last = float(msgspec.json.decode(await _line(fleet))["last"])
            row(case, "restart: killed -> all have come back and hold everything", last - killed, "s")


async def rested(made: Cluster, count: int) -> None:
    """Measure a start, and what becomes of statuses."""
    case, aimed = f"Kubernetes, {count} Services", count == _AIMED_AT
    async with plane(made.kubeconfig, free_port()) as serving:
        row(case, "begun -> all objects known", serving.started.synced, "s", "< 5" if aimed else "")
        row(case, "begun -> ready", serving.started.ready, "s")
        row(case, "memory until then, peak", serving.started.peak / 2**20, "MB", "< 500" if aimed else "")
        async with fleet(serving.address, RESTING):
            await _settled(serving)
            case = f"{case}, {RESTING} sidecars"
            await _rest(case, "nothing happens", serving, asyncio.sleep(SECONDS))
            await _rest(case, "100 statuses a second change", serving, _updates(made.kubeconfig))
            row(case, "memory", (await serving.look()).resident / 2**20, "MB")


async def _rest(case: str, what: str, serving: Plane, passing: Awaitable[None]) -> None:
    before, began = await serving.look(), time.monotonic()
    await passing
    after = await serving.look()
    row(case, f"CPU while {what}", (after.cpu - before.cpu) / (time.monotonic() - began) * 100, "%")
    row(case, f"pushes while {what}", len(after.pushes), "", "0")


async def _updates(kubeconfig: Path) -> None:
    async with _program("watching", "updates", str(kubeconfig)) as process:
        assert await process.wait() == 0


async def _patch(connection: Connection, one: dict[str, Any], change: dict[str, Any]) -> None:
    await connection.ask("PATCH", path_of(one), change, content=_MERGE)


def main(count: int) -> None:
    """Measure one size."""
    with cluster(count) as made:
        made.admin.create(_ROUTES)
        eventually(lambda: made.admin.create(_ROUTE))
        asyncio.run(pushed(made, count) if count <= 1000 else rested(made, count))


if __name__ == "__main__":
    main(int(sys.argv[1]))
