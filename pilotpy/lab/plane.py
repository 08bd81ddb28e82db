"""The control plane of a lab, in its process: folders in, ADS out; what becomes of Pods goes back into the folders."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

from pilotpy.compile.collections import COLLECTIONS
from pilotpy.engine import Engine
from pilotpy.mesh.inputs import puts
from pilotpy.mesh.views import view
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Finding, Ref, Resource
from pilotpy.ops.instruments import Instruments, instruments
from pilotpy.ops.settings import Settings
from pilotpy.sources.change import Change
from pilotpy.sources.folder import Folder
from pilotpy.sources.rollout import PodState
from pilotpy.xds.compiler import Answers, LocalCompiler
from pilotpy.xds.edge import Edge
from pilotpy.xds.grpc_transport import GrpcTransport

# Few proxies and one author: nothing is won by waiting for more changes.
_SETTINGS = Settings()._replace(
    debounce_after=timedelta(milliseconds=5), endpoint_window=timedelta(milliseconds=5), streams_per_second=0
)
_ENDPOINT_KINDS = frozenset({"EndpointSlice", "Endpoints"})


class FolderPlane:
    """Implements ``supervisor.Plane`` for folders of manifests."""

    def __init__(self, folders: Iterable[str], watched: Instruments | None = None) -> None:
        self._folder = Folder(folders, observed=True)
        self._instruments = watched or instruments()
        self._engine = Engine()
        self._compiler = LocalCompiler(self._engine, Answers(view, COLLECTIONS), _SETTINGS, self._instruments)
        self._edge = Edge(self._compiler, _SETTINGS, self._instruments)
        self._transport: GrpcTransport | None = None
        self._services: dict[Ref, Resource[KubeService]] = {}
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, address: str) -> None:
        """Read the folders, then serve; see ``Plane.start``."""
        self._transport = GrpcTransport(address)
        self._tasks = [asyncio.create_task(self._compiler.run())]
        read = asyncio.Event()
        self._tasks.append(asyncio.create_task(self._follow(read)))
        await read.wait()
        self._compiler.ready = True
        await self._transport.start(self._edge.serve)

    async def stop(self) -> None:
        """End the streams, then the rest."""
        if self._transport is not None:
            await self._transport.stop(timedelta(0))
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def changed(self) -> None:
        """Wait for news of the sources since the last call."""
        await self._news.wait()
        self._news.clear()

    def wanted(self) -> tuple[Resource[Pod], ...]:
        """The Pods that should run now, sorted, with addresses."""
        return self._folder.wanted()

    def services(self) -> tuple[Resource[KubeService], ...]:
        """All Services, with addresses."""
        return tuple(self._services.values())

    def observe(self, pod: Ref, state: PodState) -> None:
        """Say what a Pod does."""
        self._take(self._folder.observe(pod, state))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the folders now."""
        return self._folder.findings

    async def _follow(self, read: asyncio.Event) -> None:
        async for changes in self._folder.watch():
            self._take(changes)
            read.set()

    def _take(self, changes: list[Change]) -> None:
        if changes:
            for change in changes:
                if change.ref.kind == "Service":
                    self._note(change)
            # Where workloads are and nothing else: that way is faster.
            endpoints = all(change.ref.kind in _ENDPOINT_KINDS for change in changes)
            self._compiler.submit(puts(changes), [str(change.ref) for change in changes], endpoints=endpoints)
        self._news.set()

    def _note(self, change: Change) -> None:
        if change.new is None:
            self._services.pop(change.ref, None)
        else:
            self._services[change.ref] = change.new
