"""Pushing to simulated sidecars over gRPC: they read, check and ACK. ``python -m tests.bench.push 100``.

The sidecars live in a process of their own on the same machine. 1000 services of ten endpoints; all sidecars see all.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from resource import RUSAGE_SELF, getrusage

from pilotpy.compile.collections import COLLECTIONS
from pilotpy.engine import Put
from pilotpy.mesh.views import view
from pilotpy.ops.instruments import instruments
from pilotpy.ops.settings import Settings
from pilotpy.xds.compiler import Answers
from pilotpy.xds.server import Server, serving
from tests.bench.row import resident, row
from tests.bench.world import endpoint_edit, mesh, route_edit, same_edit

SERVICES = 1000
SETTINGS = Settings(grpc_address="127.0.0.1:0", http_address="", monitoring_address="", streams_per_second=0)


async def main(sidecars: int) -> None:
    """Measure one size of fleet."""
    case = f"{sidecars} simulated sidecars"
    async with serving(mesh(SERVICES), Answers(view, COLLECTIONS), SETTINGS, instruments()) as server:
        await server.open()
        before, used, started = resident(), cpu(), time.monotonic()
        command = [sys.executable, "-m", "tests.xds.fleet", server.address, str(sidecars)]
        fleet = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=2**20)
        assert fleet.stdout is not None
        try:
            await fleet.stdout.readline()
            row(case, "connect until all hold everything (0.5 s of quiet included)", time.monotonic() - started, "s")
            row(case, "server CPU a sidecar, first configuration", (cpu() - used) / sidecars * 1000, "ms")
            row(case, "server memory a sidecar", (resident() - before) / sidecars / 1024, "KB")
            gc.collect()
            gc.freeze()
            for what, endpoints, puts in (
                ("VirtualService edit", False, [route_edit(30), route_edit(40), route_edit(50)]),
                ("endpoint edit", True, [endpoint_edit(7), endpoint_edit(8), endpoint_edit(9)]),
            ):
                await _edits(case, what, server, fleet.stdout, puts, endpoints=endpoints, sidecars=sidecars)
            await _nothing(case, server)
            row(case, "server memory, peak", getrusage(RUSAGE_SELF).ru_maxrss / 1024, "MB")
        finally:
            fleet.terminate()
            await fleet.wait()


async def _edits(
    case: str,
    what: str,
    server: Server,
    fleet: asyncio.StreamReader,
    puts: list[Put],
    *,
    endpoints: bool,
    sidecars: int,
) -> None:
    records = []
    used = cpu()
    for put in puts:
        started = time.monotonic()
        server.compiler.submit([put], [what], endpoints=endpoints)
        await fleet.readline()
        while (
            not (found := server.instruments.timeline.records()) or found[-1].seen < started or not found[-1].finished
        ):
            await asyncio.sleep(0.005)
        records.append(found[-1].fields())
    used = cpu() - used
    window = {"compiled_ms": "seen -> compiled (window of 100 ms included)", "finished_ms": "seen -> last ACK"}
    for field, name in window.items():
        row(case, f"{what}: {name}, median", sorted(record[field] for record in records)[len(records) // 2], "ms")
    row(case, f"{what}: server CPU a sidecar", used / len(puts) / sidecars * 1e6, "us")
    row(case, f"{what}: ACKed", records[-1]["acked"], "")


async def _nothing(case: str, server: Server) -> None:
    sent = server.instruments.timeline.records()[-1].revision
    server.compiler.submit([same_edit()], ["label"])
    await server.compiler.caught_up()
    record = server.instruments.timeline.records()[-1]
    row(
        case,
        "sidecars sent to by an edit that alters nobody's answer",
        0 if record.revision == sent else record.sent,
        "",
    )


def cpu() -> float:
    """Return the seconds of CPU that this process has used."""
    used = getrusage(RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


asyncio.run(main(int(sys.argv[1])))
