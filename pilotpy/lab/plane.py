"""The control plane of a lab from outside: a process that is started, asked, killed, and brought back."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import msgspec

from pilotpy.lab import entry, state
from pilotpy.lab.news import LONGEST, MeshFacts, News, PlaneOrder, Report
from pilotpy.lab.process import Pause, Process, Program, start
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Finding, Ref, Resource
from pilotpy.sources.rollout import PodState

_log = logging.getLogger(__name__)
_ORDERLY = timedelta(seconds=2)  # to end by itself
_news = msgspec.json.Decoder(News)


class PlaneProcess:
    """Implements ``supervisor.Plane`` for folders of manifests. While the process is away, its last words hold."""

    kubeconfig = ""

    def __init__(self, folders: Iterable[str], place: Path) -> None:
        self._folders = tuple(folders)
        self._place = place
        self._last: News | None = None
        self._states: dict[Ref, PodState] = {}  # of Pods that are
        self._stirred = asyncio.Event()
        self._wanted = asyncio.Event()  # it may run
        self._wanted.set()
        self._process: Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self, host: str) -> None:
        """Start it; see ``Plane.start``."""
        self._log.write_bytes(b"")
        self._keeping = asyncio.create_task(self._keep(host))
        stirred = asyncio.create_task(self._stirred.wait())
        await asyncio.wait((self._keeping, stirred), return_when=asyncio.FIRST_COMPLETED)
        stirred.cancel()
        if self._last is None:
            await self._keeping
            words = self._log.read_text().strip()
            raise OSError(f"the control plane ended: {words.splitlines()[-1] if words else 'without a word'}")

    async def stop(self) -> None:
        """End it, in order if it will."""
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping

    async def changed(self) -> None:
        """Wait for news since the last call."""
        await self._stirred.wait()
        self._stirred.clear()

    def kill(self) -> None:
        """Have it die on the spot, and stay away until ``revive``."""
        self._wanted.clear()
        if self._process is not None:
            self._process.kill()

    def revive(self) -> None:
        """Have it run again."""
        self._wanted.set()

    def process_ids(self) -> frozenset[int]:
        """Of its process, if there is one that must still be waited for."""
        return frozenset((self._process.pid,)) if self._process is not None else frozenset()

    @property
    def is_up(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.is_running

    @property
    def mesh(self) -> MeshFacts:
        """What Pods must know of the mesh."""
        return self._known.mesh

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the folders now."""
        return self._known.findings

    def wanted(self) -> tuple[Resource[Pod], ...]:
        """The Pods that should run now, sorted, with addresses."""
        return self._known.wanted

    def services(self) -> tuple[Resource[KubeService], ...]:
        """All Services, with addresses."""
        return self._known.services

    def observe(self, pod: Ref, state: PodState) -> None:
        """Say what a Pod does; a control plane that is away hears of it when it is back."""
        self._states[pod] = state
        if state is PodState.GONE:
            del self._states[pod]
        self._say([Report(pod, state)])

    @property
    def _known(self) -> News:
        return self._last or News()

    @property
    def _log(self) -> Path:
        return self._place / state.PLANE_LOG

    async def _keep(self, host: str) -> None:
        """Keep it running; ends only if it never got to say anything."""
        pause = Pause()
        while True:
            await self._wanted.wait()
            await self._live(host)
            self._stirred.set()
            if self._last is None:
                return
            if self._wanted.is_set():
                _log.warning("the control plane ended, see %s; it is started again", self._log)
                await asyncio.sleep(pause.next(asyncio.get_running_loop().time()))

    async def _live(self, host: str) -> None:
        """One life of it."""
        ours, theirs = socket.socketpair()
        with theirs:
            order = PlaneOrder(
                folders=self._folders,
                host=host,
                keys=str(self._place / state.KEYS),
                projected=str(self._place / state.PROJECTED),
                channel=theirs.fileno(),
            )
            command = entry.program("pilotpy.lab.plane_program", [msgspec.json.encode(order).decode()])
            program = Program(tuple(command), os.environ, Path.cwd(), self._log, None, (theirs.fileno(),))
            self._process = process = start(program)
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=LONGEST)
        try:
            self._say([Report(pod, state) for pod, state in self._states.items()])
            with suppress(ConnectionError):
                while line := await reader.readline():
                    self._last = _news.decode(line)
                    self._stirred.set()
        finally:
            self._writer.close()
            self._writer = None
            with suppress(TimeoutError):
                await asyncio.wait_for(process.ended(), _ORDERLY.total_seconds())
            await process.end(_ORDERLY)
            self._process = None

    def _say(self, reports: list[Report]) -> None:
        if self._writer is not None:
            self._writer.write(msgspec.json.encode(reports) + b"\n")
