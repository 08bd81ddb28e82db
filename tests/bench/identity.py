"""Workloads that start at once, until all hold their first certificate. ``python -m tests.bench.identity 1000``.

The control plane is a process of its own on the same machine, with its port 15012; the agents' part of it, a key, a
request and a connection of its own each, is in this one.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
import time
from pathlib import Path

from pilotpy.agent.held import Holding
from pilotpy.agent.identity import Identity
from pilotpy.agent.settings import AgentSettings
from pilotpy.agent.signing import signer
from pilotpy.ops.clock import SystemClock
from tests.bench.row import row

PILOTPY = Path(sys.executable).with_name("pilotpy")
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
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        plane = await asyncio.create_subprocess_exec(
            *(PILOTPY, "serve", "--dir", folder / "mesh", "--ca-dir", folder / "ca", "--token-dir", folder / "tokens"),
            *("--grpc-address", "", "--http-address", "", "--monitoring-address", ""),
            *("--secure-grpc-address", address),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert plane.stdout is not None
        try:
            if not await plane.stdout.readline():  # what it says once it serves
                sys.exit("the control plane did not start")
            await _measured(workloads, folder, address)
        finally:
            plane.terminate()
            await plane.wait()


async def _measured(workloads: int, folder: Path, address: str) -> None:
    agents = [_agent(number, folder, address) for number in range(workloads)]
    began, used = time.monotonic(), time.process_time()
    tasks = [asyncio.create_task(identity.run()) for identity, _ in agents]
    await asyncio.gather(*(_certified(holding) for _, holding in agents))
    took, used = time.monotonic() - began, time.process_time() - used
    for task in tasks:
        task.cancel()
    case = f"{workloads} workloads at once"
    row(case, "until all hold their first certificate", took, "s")
    row(case, "certificates over fresh connections", workloads / took, "1/s", "> 400")
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


async def _certified(holding: Holding) -> None:
    with holding.watched() as news:
        while holding.now.certificate is None:
            await news.wait()
            news.clear()


asyncio.run(main(int(sys.argv[1])))
