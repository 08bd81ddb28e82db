"""What runs inside: ``python -m pilotpy.lab ORDER``, the order as JSON."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import msgspec

from pilotpy.lab import state
from pilotpy.lab.planes import plane_of
from pilotpy.lab.show import pod_lines, tell_findings, try_next
from pilotpy.lab.supervisor import Lab, Order
from pilotpy.ops.logs import log_to
from pilotpy.sources.kubernetes.trouble import Trouble


def main() -> None:
    """Run the lab until it is told to stop."""
    order = msgspec.json.decode(sys.argv[1], type=Order)
    with (Path(order.place) / state.AGENTS_LOG).open("w") as log:
        log_to(log, as_json=False)
        _warn_of_pods()
        asyncio.run(_run(order))


def _warn_of_pods() -> None:
    """Have what goes wrong with pods on the terminal as well."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    logging.getLogger("pilotpy.lab").addHandler(handler)


async def _run(order: Order) -> None:
    plane = plane_of(order)
    lab = Lab(order, plane)
    showing = asyncio.create_task(_show(lab))
    telling = asyncio.create_task(tell_findings(lab, plane, _say))
    ending = asyncio.create_task(lab.ending())
    ending.add_done_callback(lambda _: showing.cancel())  # pods that go are nothing to show
    try:
        await lab.run()
    except (OSError, Trouble) as error:
        raise SystemExit(f"pilotpy: {error}") from None
    finally:
        ending.cancel()
        telling.cancel()
    _say("the lab is down")


async def _show(lab: Lab) -> None:
    await lab.settled()
    targets = (service for service in lab.plane.services() if service.spec.ports and service.spec.selector)
    urls = [f"http://{one.ref.name}.{one.ref.namespace}:{one.spec.ports[0].port}/" for one in targets]
    for line in (*pod_lines(lab.state().pods), "", *try_next(lab.state(), min(urls, default=""))):
        _say(line)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
