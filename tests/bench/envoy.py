"""A real Envoy's share of the time from an edit to its ACK, on a mesh of 100 services.

``python -m tests.bench.envoy``
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from statistics import median

from pilotpy.agent.bootstrap import Address, Start, bootstrap
from pilotpy.agent.node import Node
from pilotpy.compile.collections import COLLECTIONS
from pilotpy.engine import Put
from pilotpy.mesh.kinds import PEER_AUTHENTICATIONS
from pilotpy.mesh.views import view
from pilotpy.ops.instruments import instruments
from pilotpy.ops.settings import Settings
from pilotpy.xds.compiler import Answers
from pilotpy.xds.server import Server, serving
from tests.bench.row import row
from tests.bench.world import endpoint_edit, mesh, route_edit
from tests.mesh.world import PLAINTEXT

CASE = "a real Envoy, 100 services"
EDITS = 20
SETTINGS = Settings(grpc_address="127.0.0.1:0", http_address="", monitoring_address="", streams_per_second=0)
NODE = Node("sidecar~10.99.0.1~bench.ns-0000~ns-0000.svc.cluster.local", "bench", {"NAMESPACE": "ns-0000"})


async def main() -> None:
    """Start it, edit, and tell from the timeline who took how long."""
    engine = mesh(100)
    engine.apply(
        [Put(PEER_AUTHENTICATIONS, ("istio-system", "default"), PLAINTEXT)]
    )  # there is no agent here to serve the secrets of mutual TLS
    async with serving(engine, Answers(view, COLLECTIONS), SETTINGS, instruments()) as server:
        await server.open()
        host, _, port = server.address.rpartition(":")
        start = Start(node=NODE, discovery=Address(host, int(port)), agent_port=None, admin_port=0, ready_port=0)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            config = bootstrap(start)
            config["static_resources"].pop("listeners", None)  # health and metrics would take fixed ports
            json.dump(config, file)
            file.flush()
            envoy = await asyncio.create_subprocess_exec(
                Path(sys.executable).with_name("envoy"), "-c", file.name, "--concurrency", "1",
                "--disable-hot-restart", "-l", "critical",
            )  # fmt: skip
            try:
                await _settled(server)
                await _edits(server, "VirtualService edit", [route_edit(n + 1) for n in range(EDITS)], endpoints=False)
                await _edits(server, "endpoint edit", [endpoint_edit(n + 1) for n in range(EDITS)], endpoints=True)
            finally:
                envoy.terminate()
                await envoy.wait()


async def _settled(server: Server) -> None:
    """Wait until an edit of endpoints is ACKed: then all before it is loaded."""
    for number in range(100, 200):
        server.compiler.submit([endpoint_edit(number)], ["warm up"], endpoints=True)
        await asyncio.sleep(0.25)
        records = server.instruments.timeline.records()
        if records and records[-1].finished:
            return
    raise TimeoutError("the Envoy never took an edit")


async def _edits(server: Server, what: str, puts: list[Put], *, endpoints: bool) -> None:
    envoy, ours = [], []
    for put in puts:
        before = server.instruments.timeline.records()[-1].revision
        server.compiler.submit([put], [what], endpoints=endpoints)
        while (last := server.instruments.timeline.records()[-1]).revision == before or not last.finished:
            await asyncio.sleep(0.002)
        told = last.fields()
        envoy.append(told["finished_ms"] - told["last_sent_ms"])
        ours.append(told["last_sent_ms"] - SETTINGS.debounce_after.total_seconds() * 1000)
    row(CASE, f"{what}: ours, window of 100 ms not counted, median", median(ours), "ms")
    row(CASE, f"{what}: Envoy's, sent -> ACK read, median", median(envoy), "ms")
    row(CASE, f"{what}: Envoy's, slowest of {EDITS}", max(envoy), "ms")


asyncio.run(main())
