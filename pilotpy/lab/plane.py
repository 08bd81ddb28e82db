"""The control plane of a lab, in its process: folders in, ADS out; what becomes of Pods goes back into the folders."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

from pilotpy.compile.collections import COLLECTIONS
from pilotpy.engine import Engine, Put
from pilotpy.follow import submit
from pilotpy.mesh.kinds import PEER_AUTHENTICATIONS
from pilotpy.mesh.views import view
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.peer_authentication import MutualTLS, PeerAuthentication
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Finding, Meta, Ref, Resource
from pilotpy.ops.instruments import Instruments, instruments
from pilotpy.ops.settings import Settings
from pilotpy.sources.change import Change
from pilotpy.sources.folder import Folder
from pilotpy.sources.rollout import PodState
from pilotpy.xds.compiler import Answers
from pilotpy.xds.server import Server, serving

# Few proxies and one author: nothing is won by waiting for more changes.
_SETTINGS = Settings()._replace(
    debounce_after=timedelta(milliseconds=5),
    endpoint_window=timedelta(milliseconds=5),
    streams_per_second=0,
    shutdown=timedelta(0),
)


# The lab's Envoys have no agent that holds keys for them: unless somebody asks for more, they speak plaintext.
_PLAINTEXT = Resource(
    Ref("PeerAuthentication", "istio-system", "lab"),
    Meta(name="lab", namespace="istio-system"),
    PeerAuthentication(mtls=MutualTLS(mode="DISABLE")),
)


class FolderPlane:
    """Implements ``supervisor.Plane`` for folders of manifests."""

    def __init__(self, folders: Iterable[str], watched: Instruments | None = None) -> None:
        self._folder = Folder(folders, observed=True)
        self._instruments = watched or instruments()
        self._server: Server | None = None
        self._open = AsyncExitStack()
        self._services: dict[Ref, Resource[KubeService]] = {}
        self._news = asyncio.Event()

    async def start(self, host: str) -> None:
        """Read the folders, then serve on istiod's ports; see ``Plane.start``."""
        settings = _SETTINGS._replace(
            grpc_address=f"{host}:15010", http_address=f"{host}:8080", monitoring_address=f"{host}:15014"
        )
        answers = Answers(view, COLLECTIONS)
        self._server = await self._open.enter_async_context(serving(Engine(), answers, settings, self._instruments))
        written = Put(PEER_AUTHENTICATIONS, (_PLAINTEXT.ref.namespace, _PLAINTEXT.ref.name), _PLAINTEXT)
        self._server.compiler.submit([written], [str(_PLAINTEXT.ref)])
        read = asyncio.Event()
        following = asyncio.create_task(self._follow(read))
        self._open.push_async_callback(_cancelled, following)
        await read.wait()
        await self._server.open()

    async def stop(self) -> None:
        """End the sources, then the streams."""
        await self._open.aclose()

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
        assert self._server is not None, "the folders are read from start on"
        for change in changes:
            if change.ref.kind == "Service" and change.new is None:
                self._services.pop(change.ref, None)
            elif change.ref.kind == "Service" and change.new is not None:
                self._services[change.ref] = change.new
        submit(self._server.compiler, changes)
        self._news.set()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
