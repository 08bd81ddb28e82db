"""What a process of agents costs, and how soon all hold a certificate. ``python -m tests.bench.agent 50``.

The control plane that signs is in a process of its own on the same machine.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from pilotpy.agent.pod_agent import PodAgent
from tests.agent.plane import running
from tests.agent.pods import settings
from tests.bench.row import resident, row


class Known(msgspec.Struct):
    """What an agent must know of a control plane."""

    address: str
    root_file: Path
    token_file: Path


async def main(pods: int) -> None:
    """Measure one size of process."""
    case = f"agent process, {pods} pod{'s' if pods > 1 else ''}"
    with tempfile.TemporaryDirectory(prefix="agent") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "tests.bench.agent", "plane", name]
        plane = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert plane.stdout is not None
        try:
            address = (await plane.stdout.readline()).decode().strip()
            await _measured(case, Known(address, folder / "root-cert.pem", folder / "token"), folder, pods)
        finally:
            plane.terminate()
            await plane.wait()


async def _measured(case: str, plane: Known, folder: Path, pods: int) -> None:
    before = resident()
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        agents = [
            await stack.enter_async_context(PodAgent(settings(plane, folder / str(number)))) for number in range(pods)
        ]
        await asyncio.gather(*map(_certified, agents))
        row(case, "start until all hold a P-256 certificate", time.monotonic() - started, "s")
        row(case, "memory of the process", resident() / 2**20, "MB")
        row(case, "memory a pod", (resident() - before) / pods / 2**20, "MB")
        used, began = time.process_time(), time.monotonic()
        await asyncio.sleep(5)
        row(case, "CPU while nothing happens", (time.process_time() - used) / (time.monotonic() - began) * 100, "%")


async def _certified(agent: PodAgent) -> None:
    with agent.holding.watched() as news:
        while agent.holding.now.certificate is None:
            await news.wait()
            news.clear()


async def serve(folder: Path) -> None:
    """Be the control plane, until told to end."""
    async with running(folder) as plane:
        sys.stdout.write(f"{plane.address}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if sys.argv[1] == "plane":
    asyncio.run(serve(Path(sys.argv[2])))
else:
    asyncio.run(main(int(sys.argv[1])))
