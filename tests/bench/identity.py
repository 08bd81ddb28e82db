"""Workloads that start at once, until all hold their first certificate. ``python -m tests.bench.identity 1000``.

The control plane is a process of its own on the same machine, with its port 15012; the agents' part of it, a key, a
request and a connection of its own each, is in this one. They share an address, as workloads do not, so the limits for
one address are lifted.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from pilotpy.agent.held import Holding
from pilotpy.agent.identity import Identity
from pilotpy.agent.settings import AgentSettings
from pilotpy.agent.signing import signer
from pilotpy.authority.keeping import Keys
from pilotpy.follow import following
from pilotpy.gather import gathered
from pilotpy.ops.clock import SystemClock
from pilotpy.ops.garbage import keep_all, look_seldom
from pilotpy.ops.instruments import instruments
from pilotpy.ops.settings import Settings
from pilotpy.sources.folder import Folder
from pilotpy_ca.front import FrontLimits
from tests.bench.row import row

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: pod-{number}, namespace: default}}
spec: {{serviceAccountName: account-{number}, containers: [{{name: app}}]}}
---"""


async def main(workloads: int) -> None:
    """Measure one number of workloads, with P-256 keys: RSA keys would take longer to make than all the rest."""
    with tempfile.TemporaryDirectory(prefix="identity") as name:
        folder = Path(name)
        (folder / "mesh").mkdir()
        (folder / "mesh" / "pods.yaml").write_text("".join(POD.format(number=number) for number in range(workloads)))
        command = (sys.executable, "-m", "tests.bench.identity", "plane", folder)
        plane = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert plane.stdout is not None
        try:
            address = (await plane.stdout.readline()).decode().strip()
            if not address:
                sys.exit("the control plane did not start")
            await _measured(workloads, folder, address, plane.pid)
        finally:
            plane.terminate()
            await plane.wait()


async def _measured(workloads: int, folder: Path, address: str, plane: int) -> None:
    agents = [_agent(number, folder, address) for number in range(workloads)]
    began, used, theirs = time.monotonic(), time.process_time(), _cpu(plane)
    tasks = [asyncio.create_task(identity.run()) for identity, _ in agents]
    await asyncio.gather(*(_certified(holding) for _, holding in agents))
    took, used = time.monotonic() - began, time.process_time() - used
    theirs = _cpu(plane) - theirs
    for task in tasks:
        task.cancel()
    case = f"{workloads} workloads at once"
    row(case, "until all hold their first certificate", took, "s")
    row(case, "certificates over fresh connections", workloads / took, "1/s", "> 400")
    row(case, "server CPU a certificate", theirs / workloads * 1000, "ms")
    row(case, "of the time, the agents' own use of a core", 100 * used / took, "%")


def _agent(number: int, folder: Path, address: str) -> tuple[Identity, Holding]:
    environment = {
        "POD_NAMESPACE": "default",
        "SERVICE_ACCOUNT": f"account-{number}",
        "PILOTPY_DISCOVERY_ADDRESS": address,
        "ISTIOD_SAN": "istiod.istio-system.svc",
        "CA_ROOT_CA": str(folder / "tokens/root-cert.pem"),
        "ECC_SIGNATURE_ALGORITHM": "ECDSA",
    }
    # As a kubelet mounts what is projected.
    root = folder / f"root-{number}"
    token = root / "var/run/secrets/tokens"
    token.parent.mkdir(parents=True)
    token.symlink_to(folder / "tokens" / "default" / f"pod-{number}")
    settings = AgentSettings.of(environment, root)
    holding = Holding()
    return Identity(settings.terms, signer(settings.authority), holding, SystemClock()), holding


def _cpu(process: int) -> float:
    """Return the seconds of CPU that a process has used. Source: proc_pid_stat(5)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _certified(holding: Holding) -> None:
    with holding.watched() as news:
        while holding.now.certificate is None:
            await news.wait()
            news.clear()


async def serve(folder: Path) -> None:
    """Be the control plane, until told to end; say the address once it serves."""
    settings = Settings(grpc_address="", secure_grpc_address="127.0.0.1:0", http_address="", monitoring_address="")
    keys = Keys(folder / "ca", projected=folder / "tokens", limits=FrontLimits(*4 * (20_000,)))
    watched_with = instruments()
    look_seldom()
    async with (
        gathered(Folder([folder / "mesh"]), None, settings, watched_with.metrics) as source,
        following(source, settings, keys, watched_with) as server,
    ):
        keep_all()
        sys.stdout.write(f"{server.secure_address}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if sys.argv[1] == "plane":
    asyncio.run(serve(Path(sys.argv[2])))
else:
    asyncio.run(main(int(sys.argv[1])))
