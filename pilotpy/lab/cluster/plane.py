"""The control plane of a lab that goes by an API server, and all that a cluster has beside it.

Implements `supervisor.Plane`. What is here joins: `pilotpy serve --kubernetes`, controllers and what they write,
tokens of accounts, the node, manifests.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from pilotpy.lab import state as files
from pilotpy.lab.cluster import node
from pilotpy.lab.cluster.api_server import HOST, ApiServer
from pilotpy.lab.cluster.caution import takes_part
from pilotpy.lab.cluster.controllers import Controllers
from pilotpy.lab.cluster.manifests import Manifests
from pilotpy.lab.cluster.namespaces import Emptying
from pilotpy.lab.cluster.objects import READ, SYSTEM, Held
from pilotpy.lab.cluster.opening import admit, answering, beware, define, logged_in
from pilotpy.lab.cluster.order import ClusterOrder
from pilotpy.lab.cluster.serving import Serving
from pilotpy.lab.cluster.tokens import Tokens, Wanted
from pilotpy.lab.cluster.way import inwards
from pilotpy.lab.cluster.writes import Write, Writer
from pilotpy.lab.cluster.wrong import Wrong
from pilotpy.lab.forward import Forward, Target
from pilotpy.lab.news import MeshFacts
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.mesh_config import MeshConfig
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Finding, Ref, Resource
from pilotpy.sources.change import Change
from pilotpy.sources.kubernetes.cluster import Cluster
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.login import default_login
from pilotpy.sources.kubernetes.trouble import Trouble
from pilotpy.sources.mesh_settings import CONFIG_MAP, MESH_CONFIG
from pilotpy.sources.rollout import PodState

_ROOTS: Final = Ref("ConfigMap", SYSTEM, "istio-ca-root-cert")
_AUDIENCE: Final = "istio-ca"
_HELD: Final = frozenset(one.kind for one in READ) - {"ConfigMap"}
_PATIENCE: Final = timedelta(seconds=60)  # until an API server is there
_AGAIN: Final = timedelta(seconds=2)  # after which a Pod is written that was refused: its account may be there by then
_FAREWELL: Final = timedelta(seconds=5)
_log = logging.getLogger(__name__)


class ClusterPlane:
    """Everything at one API server."""

    def __init__(self, order: ClusterOrder, folders: Iterable[str], place: Path) -> None:
        self._order = order
        self._place = place
        self._server: ApiServer | None = None
        self.kubeconfig = order.kubeconfig
        if order.own is not None:
            self._server = ApiServer(Path(order.own.assets), place / files.API_SERVER, order.own.port)
            self.kubeconfig = str(self._server.kubeconfig)
        self._login = default_login(self.kubeconfig or None, order.context or None)
        self._connection = connection = Connection(self._login)
        self._takes_part = partial(takes_part, everywhere=order.own is not None)
        self._controllers = Controllers(node.NODE, self._takes_part, partial(datetime.now, UTC))
        self._writer = Writer(connection, self._wrote, self._refused)
        self._tokens = Tokens(connection)
        self._own_token: set[Wanted] = set()
        self._emptying = Emptying(connection)
        self._manifests = Manifests(folders, connection)
        self._stirred, self._ready = asyncio.Event(), asyncio.Event()
        self._serving = Serving(place / files.PLANE_LOG, self._stirred.set)
        self._wrong = Wrong(self._stirred.set)
        self._mesh = MeshFacts()
        self._read_wrong: tuple[Finding, ...] = ()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, host: str) -> None:
        """See `Plane.start`; ready: the roots of the mesh are there. Raises Inhabited, Trouble, OSError."""
        if self._server is not None and self._order.own is not None:
            self._run(self._server.run())
            target = Target(HOST, self._order.own.port)
            await Forward(socket.socket(fileno=self._order.own.door), lambda: target).start()
        elif self._order.way is not None:
            await inwards(self._order.way)
        await answering(self._connection, _PATIENCE)
        if self._server is None and not self._order.unguarded:
            await beware(self._connection)
        await node.register(self._connection)
        arguments = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        arguments += [f"--context={self._order.context}"] if self._order.context else []
        if await admit(self._manifests):
            token, kubeconfig = await logged_in(self._tokens, await self._login(), self._place / files.PROJECTED)
            self._own_token = {token}
            arguments = [f"--kubeconfig={kubeconfig}"]
        self._run(self._serving.run(host, arguments))
        await define(self._connection)  # meanwhile: it takes a while to start, and follows kinds as they come
        beating = node.beat(self._connection)
        for part in (self._follow(), self._writer.run(), beating, self._manifests.run(), self._wrong.follow()):
            self._run(part)
        await self._until(self._ready)
        if self._server is None and not self.wanted():
            _log.warning("nothing is to be run: no namespace with Pods in it is labelled istio-injection=enabled yet")

    async def stop(self) -> None:
        """Write what is still to be said, and end all."""
        if self._server is None:
            with suppress(TimeoutError, Trouble):
                async with asyncio.timeout(_FAREWELL.total_seconds()):
                    await self._writer.idle()
                    await node.leave(self._connection)
        await self._tokens.stop()
        await self._emptying.stop()
        for task in reversed(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.close()

    async def changed(self) -> None:
        """Wait for news since the last call. Raises what ended any part of this."""
        await self._until(self._stirred)
        self._stirred.clear()

    def wanted(self) -> tuple[Resource[Pod], ...]:
        """The Pods that should run now, sorted, with addresses."""
        return self._controllers.wanted()

    def services(self) -> tuple[Resource[KubeService], ...]:
        """All Services that take part."""
        return self._controllers.services()

    @property
    def mesh(self) -> MeshFacts:
        """What Pods must know of the mesh."""
        return self._mesh

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with manifests, workloads and all that the control plane reads now."""
        return (*self._manifests.findings, *self._read_wrong, *self._controllers.findings, *self._wrong.findings)

    def observe(self, pod: Ref, state: PodState) -> None:
        """Say what a Pod does."""
        self._put(self._controllers.observe(pod, state))

    def kill(self) -> None:
        """Have the control plane die on the spot, and stay away until `revive`."""
        self._serving.kill()

    def revive(self) -> None:
        """Have it run again."""
        self._serving.revive()

    def process_ids(self) -> frozenset[int]:
        """Of all programs that must still be waited for."""
        return self._serving.process_ids() | (self._server.process_ids() if self._server else frozenset())

    @property
    def is_up(self) -> bool:
        """Whether the control plane runs."""
        return self._serving.is_up

    def _run(self, part: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(part)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, part: asyncio.Task[None]) -> None:
        if part.cancelled() or part.exception() is not None:
            self._stirred.set()
            self._ready.set()

    async def _until(self, event: asyncio.Event) -> None:
        await event.wait()
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def _follow(self) -> None:
        random = Random()  # noqa: S311 - pauses need no secrecy
        cluster = Cluster(
            self._connection, settings=CONFIG_MAP, count=lambda _, __: None, random=random, collections=READ
        )
        async for changes in cluster.watch():
            self._read_wrong = cluster.findings
            self._take(changes)

    def _take(self, changes: Iterable[Change]) -> None:
        held: list[Change] = []
        for change in changes:
            if change.ref == MESH_CONFIG:
                mesh = change.new.spec if change.new is not None else MeshConfig()
                self._mesh = MeshFacts(mesh.trust_domain, mesh.default_config.proxy_metadata)
            elif change.ref == _ROOTS and change.new is not None:
                self._believe(change.new.spec.data.get("root-cert.pem", ""))
            elif change.ref.kind in _HELD:
                held.append(change)
                if change.new is not None:
                    self._heard(change.new)
        self._put(self._controllers.take(held))

    def _heard(self, one: Resource[Held]) -> None:
        self._writer.know(one.ref, one.spec.uid)
        if one.ref.kind == "Namespace" and one.meta.deleted and self._takes_part(one):
            self._emptying.begin(one.ref.name)

    def _believe(self, roots: str) -> None:
        """Give Pods the roots of the mesh, as a kubelet projects them."""
        folder = self._place / files.PROJECTED
        folder.mkdir(exist_ok=True)
        new = folder / ".root-cert.pem"
        new.write_text(roots)
        new.replace(folder / "root-cert.pem")
        self._ready.set()

    def _wrote(self, ref: Ref, uid: str) -> None:
        self._controllers.wrote(ref, uid)
        self._put(())

    def _refused(self, ref: Ref) -> None:
        again = partial(self._put_again, ref)
        asyncio.get_running_loop().call_later(_AGAIN.total_seconds(), again)

    def _put_again(self, ref: Ref) -> None:
        self._put(self._controllers.again(ref))

    def _put(self, writes: Iterable[Write]) -> None:
        self._writer.put(writes)
        self._tokens.keep(self._own_token | {self._token(pod, uid) for pod, uid in self._controllers.written()})
        self._stirred.set()

    def _token(self, pod: Resource[Pod], uid: str) -> Wanted:
        named = pod.spec.service_account_name or pod.spec.service_account
        account = Ref("ServiceAccount", pod.ref.namespace, named or "default")
        file = self._place / files.PROJECTED / pod.ref.namespace / pod.ref.name / "istio-token"
        bound = bool(named) or self._controllers.is_made(pod.ref)  # to what says no account, none can be bound
        return Wanted(account, file, _AUDIENCE, pod.ref if bound else None, uid)
