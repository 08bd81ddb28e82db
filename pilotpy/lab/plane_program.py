"""The control plane of a lab: ``python -m pilotpy.lab.plane_program ORDER``, the order as JSON.

Folders in, ADS and certificates out; Pods that should run go to the lab over a socket, what becomes of them comes back.
It ends when the lab closes that socket. A process of its own, as in a cluster: it may die, and come back, while
everything else goes on.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import msgspec

from pilotpy.api.finding import in_order, located
from pilotpy.authority.keeping import Keys
from pilotpy.follow import following
from pilotpy.lab.news import LONGEST, MeshFacts, News, PlaneOrder, Report
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.mesh_config import MeshConfig
from pilotpy.model.resource import Finding, Ref, Resource
from pilotpy.ops.logs import log_to
from pilotpy.ops.settings import Settings
from pilotpy.sources.change import Change
from pilotpy.sources.folder import Folder
from pilotpy.sources.mesh_settings import MESH_CONFIG
from pilotpy.sources.together import Together
from pilotpy_ca.terms import Terms

# Few proxies and one author: nothing is won by waiting for more changes.
_SETTINGS = Settings()._replace(
    debounce_after=timedelta(milliseconds=5),
    endpoint_window=timedelta(milliseconds=5),
    streams_per_second=0,
    shutdown=timedelta(0),
)
_TERMS = dataclasses.replace(Terms(), settle=timedelta(seconds=1))
_reports = msgspec.json.Decoder(tuple[Report, ...])


class LabFolder(Folder):
    """Folders whose Pods a lab runs: what it reports and what files say come as one stream of changes."""

    def __init__(self, folders: Iterable[str], running: Iterable[Report], tell: Callable[[News], None]) -> None:
        super().__init__(folders, observed=True)
        self._reports = asyncio.Queue[Report]()
        self._tell = tell
        self._told: News | None = None
        self._noted: tuple[Finding, ...] = ()
        self._services: dict[Ref, Resource[KubeService]] = {}
        self._mesh = MeshFacts()
        self._stirred = asyncio.Event()
        for report in running:
            self.take(report)

    def take(self, report: Report) -> None:
        """Note what a Pod does."""
        self._reports.put_nowait(report)
        self._stirred.set()

    def note(self, notes: Iterable[object]) -> None:
        """Take all that is wrong now, with what compiling found; it is news beside what files have wrong."""
        self._noted = in_order(finding for note in notes if (finding := located(note, self)))
        if self._told is not None:
            self._tell_news()

    async def watch(self) -> AsyncIterator[list[Change]]:
        """As ``Folder.watch``; the first batch knows of what runs already. News go out once a batch was taken in."""
        files = super().watch()
        batch = await anext(files)
        reading = self._reading(files)
        try:
            while True:
                batch = batch + self._reported()
                self._note(batch)
                yield batch
                self._tell_news()
                self._stirred.clear()
                if not reading.done() and self._reports.empty():
                    await self._stirred.wait()
                batch = []
                if reading.done():
                    batch = reading.result()
                    reading = self._reading(files)
        finally:
            reading.cancel()

    def _reading(self, files: AsyncIterator[list[Change]]) -> asyncio.Future[list[Change]]:
        reading = asyncio.ensure_future(anext(files))
        reading.add_done_callback(lambda _: self._stirred.set())
        return reading

    def _reported(self) -> list[Change]:
        """What the reports change that have come in so far."""
        changes: list[Change] = []
        while not self._reports.empty():
            report = self._reports.get_nowait()
            changes += self.observe(report.pod, report.state)
        return changes

    def _note(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.ref.kind == "Service" and change.new is None:
                self._services.pop(change.ref, None)
            elif change.ref.kind == "Service" and change.new is not None:
                self._services[change.ref] = change.new
            elif change.ref == MESH_CONFIG:
                mesh = change.new.spec if change.new is not None else MeshConfig()
                self._mesh = MeshFacts(mesh.trust_domain, mesh.default_config.proxy_metadata)

    def _wrong(self) -> tuple[Finding, ...]:
        return in_order((*self.findings, *self._noted))

    def _tell_news(self) -> None:
        news = News(self.wanted(), tuple(self._services.values()), self._wrong(), self._mesh)
        if news != self._told:
            self._told = news
            self._tell(news)


async def _run(order: PlaneOrder) -> None:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=order.channel), limit=LONGEST)

    def tell(news: News) -> None:
        writer.write(msgspec.json.encode(news) + b"\n")

    folder = LabFolder(order.folders, _reports.decode(await reader.readline()), tell)
    settings = _SETTINGS._replace(
        grpc_address=f"{order.host}:15010",
        secure_grpc_address=f"{order.host}:15012",
        http_address=":8080",
        monitoring_address=":15014",
    )
    keys = Keys(Path(order.keys), _TERMS, projected=Path(order.projected))
    async with following(Together([folder]), settings, keys, hear=folder.note):
        with suppress(ConnectionError):  # news that nobody hears any more
            while line := await reader.readline():
                for report in _reports.decode(line):
                    folder.take(report)


def main() -> None:
    """Run until the lab has heard enough."""
    log_to(sys.stderr, as_json=False)
    asyncio.run(_run(msgspec.json.decode(sys.argv[1], type=PlaneOrder)))


if __name__ == "__main__":
    main()
