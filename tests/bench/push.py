"""Pushing to simulated sidecars over gRPC: they read, check and ACK. ``python -m tests.bench.push 100 [tls]``.

The sidecars live in a process of their own on the same machine. 1000 services of ten endpoints; all sidecars see all.
With ``tls`` they come to port 15012, each with a handshake of its own: the difference is what the TLS front costs.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory

from pilotpy.authority.keeping import Keys
from pilotpy.compile.collections import COLLECTIONS
from pilotpy.engine import Put
from pilotpy.mesh.views import view
from pilotpy.ops.garbage import keep_all, look_seldom
from pilotpy.ops.instruments import instruments
from pilotpy.ops.settings import Settings
from pilotpy.xds.compiler import Answers
from pilotpy.xds.server import Server, serving
from pilotpy_ca.commands import Issue, Issued
from pilotpy_ca.control import ask
from pilotpy_ca.csr import new_request
from pilotpy_ca.front import FrontLimits
from pilotpy_ca.keys import KeyType, PrivateKey
from pilotpy_ca.terms import Terms
from tests.bench.row import resident, row
from tests.bench.world import endpoint_edit, mesh, route_edit, same_edit

SERVICES = 1000
SETTINGS = Settings(
    grpc_address="127.0.0.1:0",
    secure_grpc_address="127.0.0.1:0",
    http_address="",
    monitoring_address="",
    streams_per_second=0,
)
EVERYBODY = "spiffe://cluster.local/ns/default/sa/default"


async def main(sidecars: int, *, tls: bool) -> None:
    """Measure one size of fleet."""
    case = f"{sidecars} simulated sidecars{' over TLS' if tls else ''}"
    look_seldom()
    async with AsyncExitStack() as stack:
        answers = Answers(view, COLLECTIONS)
        server = await stack.enter_async_context(serving(mesh(SERVICES), answers, SETTINGS, instruments()))
        identified, arguments = None, []
        if tls:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            keys = Keys(folder / "keys", Terms(key_type=KeyType.P256), limits=FrontLimits(*4 * (5000,)))
            authority = await stack.enter_async_context(keys.keeping(server))
            await _certified(folder)
            identified, arguments = authority.identified, [f"tls={folder}"]
        await server.open(identified)
        keep_all()
        before, used, started = resident(), cpu(), time.monotonic()
        address = server.secure_address if tls else server.address
        command = [sys.executable, "-m", "tests.xds.fleet", address, str(sidecars), *arguments]
        fleet = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=2**20)
        assert fleet.stdout is not None
        try:
            await fleet.stdout.readline()
            row(case, "connect until all hold everything (0.5 s of quiet included)", time.monotonic() - started, "s")
            row(case, "server CPU a sidecar, first configuration", (cpu() - used) / sidecars * 1000, "ms")
            row(case, "server memory a sidecar", (resident() - before) / sidecars / 1024, "KB")
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
            await server.close()


async def _certified(folder: Path) -> None:
    """Put a certificate into a folder, and its key, that all sidecars may show."""
    key = PrivateKey.new(KeyType.P256)
    said = await asyncio.to_thread(ask, folder / "keys", Issue(new_request(key).decode(), EVERYBODY), Terms())
    assert isinstance(said, Issued), said
    (folder / "key.pem").write_bytes(key.pem())
    (folder / "cert-chain.pem").write_text("".join(said.chain[:-1]))
    (folder / "root-cert.pem").write_text(said.chain[-1])


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
        "0",
    )


def cpu() -> float:
    """Return the seconds of CPU that this process has used."""
    used = getrusage(RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


asyncio.run(main(int(sys.argv[1]), tls="tls" in sys.argv[2:]))
