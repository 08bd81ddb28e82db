"""What runs inside: ``python -m pilotpy.lab ORDER``, the order as JSON."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
from rich.console import Console

from pilotpy.lab.plane import FolderPlane
from pilotpy.lab.show import finding_lines, pod_table, try_next
from pilotpy.lab.supervisor import Lab, Order
from pilotpy.ops.logs import log_to


def main() -> None:
    """Run the lab until it is told to stop."""
    order = msgspec.json.decode(sys.argv[1], type=Order)
    with (Path(order.place) / "control-plane.log").open("a") as log:
        log_to(log, as_json=False)
        asyncio.run(_run(order))


async def _run(order: Order) -> None:
    console = Console()
    plane = FolderPlane(order.folders)
    lab = Lab(order, plane)
    showing = asyncio.create_task(_show(lab, plane, order, console))
    try:
        await lab.run()
    finally:
        showing.cancel()
        console.print("the lab is down")


async def _show(lab: Lab, plane: FolderPlane, order: Order, console: Console) -> None:
    await lab.settled()
    console.print(pod_table(lab))
    for line in finding_lines(plane.findings):
        console.print(line)
    console.print(try_next(lab, order))


if __name__ == "__main__":
    main()
