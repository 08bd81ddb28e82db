"""A mesh to look at: bookinfo with a canary, an edit of its weights, and how soon every Envoy follows.

``run`` is for outside, the rest runs inside: ``python -m pilotpy.lab.demo ORDER [--once]``.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.rule import Rule
from rich.text import Text

from pilotpy.agent.http_client import Question, asked
from pilotpy.agent.network import PodNetwork
from pilotpy.lab import commands, state
from pilotpy.lab.commands import Publish
from pilotpy.lab.identities import refusals, topology
from pilotpy.lab.planes import plane_of
from pilotpy.lab.show import tell_findings, try_next
from pilotpy.lab.supervisor import Lab, Order, Port, behind
from pilotpy.lab.traffic import FAILED, Traffic
from pilotpy.ops.logs import log_to

if TYPE_CHECKING:
    from pilotpy.lab.cluster.reach import Reach

_EXAMPLE = Path(__file__).parents[2] / "examples" / "bookinfo"
_PAGE = "/api/v1/products/0"
_ENOUGH = 400  # requests to count before and after the edit
_COLOURS = {"v1": "cyan", "v2": "bright_black", "v3": "red", FAILED: "bold red"}
_BAR = 50  # characters for all of the requests


def run(*, once: bool, reach: Reach | None = None) -> None:
    """Become the demo; does not return. ``reach``: see ``commands.up``. Raises as that does."""
    if not _EXAMPLE.is_dir():
        raise FileNotFoundError(f"the example is not here: {_EXAMPLE}")
    copy = Path(tempfile.mkdtemp(prefix="pilotpy-demo-")) / "bookinfo"
    shutil.copytree(_EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    arguments = [str(time.time()), *(["--once"] if once else [])]
    published = [Publish(0, "productpage", "default", 9080)]
    try:
        commands.up([copy], published, reach=reach, module="pilotpy.lab.demo", arguments=arguments)
    finally:  # it did not come to be
        shutil.rmtree(copy.parent)


class Demo:
    """One showing, from inside the lab."""

    def __init__(self, order: Order, begun: float, *, once: bool) -> None:
        self._order = order
        self._begun = begun  # time.time() of when somebody asked for it
        self._once = once
        self._plane = plane_of(order)
        self._lab = Lab(order, self._plane)
        self._routing = Path(order.folders[0]) / "routing.yaml"
        self._console = Console(highlight=False)
        port: Port = order.ports[0]
        self._pages: dict[str, Any] = {}  # the latest by version
        self._traffic = Traffic(lambda: behind(self._lab, port), _PAGE, self._version)

    async def run(self) -> None:
        """Show it all, then leave the mesh up until somebody ends it."""
        showing = asyncio.create_task(self._show())
        showing.add_done_callback(lambda _: self._lab.stop())
        ending = asyncio.create_task(self._lab.ending())
        ending.add_done_callback(lambda _: showing.cancel())  # what it counts from now on is the end itself
        telling = asyncio.create_task(tell_findings(self._lab, self._plane, self._warn))
        try:
            await self._lab.run()
        finally:
            for task in (ending, showing, telling):
                task.cancel()
            await asyncio.gather(ending, showing, telling, return_exceptions=True)
            shutil.rmtree(self._routing.parents[1], ignore_errors=True)
        self._console.print("the mesh is down")
        if not showing.cancelled() and (failed := showing.exception()):
            raise failed

    def _warn(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True, style="yellow")

    async def _show(self) -> None:
        with suppress(BrokenPipeError, SystemExit):  # nobody looks any more: rich's way to say so is the latter
            await self._told()

    async def _told(self) -> None:
        say = self._console.print
        say(Rule("pilotpy: bookinfo with a canary"))
        await self._lab.settled()
        sending = asyncio.create_task(self._traffic.run())
        try:
            await self._traffic.counted(1, 0.0)
            say(f"{len(self._lab.kubelet.running)} pods with an Envoy each;", end=" ")
            say(f"first answer {time.time() - self._begun:.1f} s after the start")
            await self._traffic.answered("v2")
            say("Who calls whom, as the services saw it over mutual TLS:")
            say(topology(self._pages["v2"]), soft_wrap=True)
            async for line in refusals(self._lab):
                say(line, markup=False, soft_wrap=True)
            say(f"For your browser: [bold]{self._order.ports[0].url}productpage[/]\n")
            say("Nine readers of ten get reviews v1, one gets v2:")
            await self._live(time.monotonic(), _ENOUGH)
            await self._edit(5, 95)
            say("and the split follows:")
            await self._live(time.monotonic(), _ENOUGH)
            if not self._once:
                for line in try_next(self._lab.state(), "http://reviews:9080/reviews/0"):
                    say(line, markup=False, soft_wrap=True)
                say(f"The weights are in {self._routing}; the answers of the last two seconds:", soft_wrap=True)
                await self._forever()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _edit(self, stay: int, move: int) -> None:
        """Write other weights, and say how long it takes until the last Envoy has taken them."""
        text = self._routing.read_text()
        weights = iter((stay, move))
        edited = re.sub(r"weight: \d+", lambda _: f"weight: {next(weights)}", text)
        new = self._routing.with_suffix(".new")
        new.write_text(edited)
        begun = datetime.now(UTC)
        new.replace(self._routing)
        record = await self._landed(begun)
        seen = record["seen_ms"]
        self._console.print(
            f"\nEdited the weights to {stay}/{move}: "
            f"[bold]{seen + record['finished_ms']:.0f} ms[/] from the write to the last Envoy's ACK "
            f"(seen after {seen:.0f}, compiled after {seen + record['compiled_ms']:.0f},"
            f" {record['proxies']} proxies),"
        )

    async def _landed(self, begun: datetime) -> dict[str, Any]:
        """The record of the change that was written then, once every proxy has answered. Raises TimeoutError."""
        question = Question("127.0.0.1", 8080, "/debug/timeline")
        async with asyncio.timeout(10):
            while True:
                answer = await asked(question, PodNetwork(), at_most=1 << 20)
                for record in json.loads(answer.body):
                    named = any(cause.startswith("VirtualService ") for cause in record["causes"])
                    seen = datetime.fromisoformat(record["seen"])
                    if named and seen >= begun and record["finished_ms"] is not None:
                        return {**record, "seen_ms": (seen - begun) / timedelta(milliseconds=1)}
                await asyncio.sleep(0.005)

    async def _live(self, since: float, number: int) -> None:
        """Have the counts grow on a terminal up to ``number``; elsewhere print the end."""
        counting = asyncio.create_task(self._traffic.counted(number, since))
        if self._console.is_terminal:
            with Live(console=self._console, refresh_per_second=10) as live:
                while not counting.done():
                    live.update(_bars(self._traffic.counts(since)))
                    await asyncio.wait((counting,), timeout=0.1)
                live.update(_bars(counting.result()))
        else:
            self._console.print(_bars(await counting))

    def _version(self, body: bytes) -> str:
        """Whose reviews a page shows. Raises KeyError: one of its services did not answer."""
        page = json.loads(body)
        version = str(page["reviews"]["version"])
        if "identities" not in page["details"]:
            raise KeyError("details")
        self._pages[version] = page
        return version

    async def _forever(self) -> None:
        self._traffic.pause = 0.05
        if not self._console.is_terminal:
            await asyncio.Event().wait()
        with Live(console=self._console, refresh_per_second=5) as live:
            while True:
                live.update(_bars(self._traffic.counts(time.monotonic() - 2)))
                await asyncio.sleep(0.2)


def _bars(counts: Counter[str]) -> Group:
    """A line for each version: how many, which share."""
    total = counts.total() or 1
    lines = []
    for version in ("v1", "v2", "v3", FAILED):
        number = counts[version]
        if version == FAILED and not number:
            continue
        bar = "█" * round(_BAR * number / total)
        lines.append(
            Text.assemble(
                f"  {version:8}", (f"{bar:{_BAR}}", _COLOURS[version]), f"{number:6}  {100 * number / total:5.1f} %"
            )
        )
    return Group(*lines)


def main() -> None:
    """Run inside, as the command line says."""
    order = msgspec.json.decode(sys.argv[1], type=Order)
    with (Path(order.place) / state.AGENTS_LOG).open("w") as log:
        log_to(log, as_json=False)
        asyncio.run(_main(order))


async def _main(order: Order) -> None:
    await Demo(order, float(sys.argv[2]), once="--once" in sys.argv[3:]).run()


if __name__ == "__main__":
    main()
