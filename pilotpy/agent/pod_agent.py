"""The agent beside one Envoy, all of it, for as long as a context lasts. A process may hold many.

    async with PodAgent(settings) as agent:
        ...  # start an Envoy whose bootstrap names settings.xds_socket and settings.sds_socket
        await agent.drain()

Nothing is global: sockets, metrics and tasks belong to the one pod.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from prometheus_client import CollectorRegistry, generate_latest

from pilotpy.agent import certificate_files
from pilotpy.agent.agent_metrics import AgentMetrics
from pilotpy.agent.app_probes import probed
from pilotpy.agent.dns_proxy import DnsProxy
from pilotpy.agent.drain import drained
from pilotpy.agent.envoy_admin import EnvoyAdmin
from pilotpy.agent.health_check import watch
from pilotpy.agent.held import Holding
from pilotpy.agent.identity import Identity
from pilotpy.agent.metrics import Page, merged
from pilotpy.agent.network import PodNetwork
from pilotpy.agent.readiness import STATISTICS, unready
from pilotpy.agent.relay import Relay
from pilotpy.agent.sds import SecretService
from pilotpy.agent.settings import AgentSettings
from pilotpy.agent.signing import Sign, signer
from pilotpy.agent.socket_files import SocketFiles
from pilotpy.agent.status import Status
from pilotpy.ops.clock import Clock, SystemClock
from pilotpy.ops.http_server import answering
from pilotpy.ops.logs import fields

_LOG: Final = logging.getLogger("pilotpy.agent")
_LOOK: Final = timedelta(seconds=1)
"""How often files are looked at: they are few, and links that Kubernetes swaps escape a watch of theirs."""
_TAKEN: Final = timedelta(seconds=5)
"""How long Envoy may take to say that it has new secrets."""


class PodAgent:
    """One pod's agent. Made anywhere, used inside an event loop."""

    def __init__(
        self,
        settings: AgentSettings,
        network: PodNetwork = PodNetwork(),  # noqa: B008 - an immutable tuple
        clock: Clock | None = None,
        sign: Sign | None = None,
    ) -> None:
        self.settings = settings
        self.holding = Holding()
        sign = sign or signer(settings.authority, settings.signer)
        self.identity = Identity(settings.terms, sign, self.holding, clock or SystemClock())
        self.secrets = SecretService(self.holding)
        self.dns = DnsProxy(settings.resolver, network) if settings.resolver else None
        self.relay = Relay(
            settings.plane,
            names=self.dns.take if self.dns else None,
            roots=self.holding.trust,
            taken=self.secrets.taken,
        )
        self.envoy = EnvoyAdmin(network, settings.localhost, settings.admin_port)
        self.ending = asyncio.Event()  # somebody inside the pod asked for the end
        self.status_port = 0  # once inside the context, if there is one
        self.dns_ports = (0, 0)  # of UDP and TCP, likewise
        self._draining: asyncio.Task[None] | None = None
        self._unreadable = ""  # why the list of revoked certificates is, as last logged
        self._network = network
        self._registry = CollectorRegistry()
        self._registry.register(AgentMetrics(self))
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Serve Envoy, and ask for a certificate. Raises OSError for sockets that cannot be had."""
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def ready(self) -> str:
        """What the pod lacks before it may be given traffic; empty: nothing."""
        if self._draining is not None:
            return "draining"
        if self.dns is not None and self.dns.book is None:
            return "no table of names received from the control plane"
        try:
            return unready(await self.envoy.counts(STATISTICS))
        except OSError as failed:
            return f"no answer from Envoy: {str(failed) or 'in time'}"

    async def drain(self, *, stays: bool = False) -> None:
        """Have Envoy let go of its clients; returns when it may end. A second call waits for the first."""
        await asyncio.shield(self._drain_begun(stays=stays))

    def _drain_begun(self, *, stays: bool) -> asyncio.Task[None]:
        if self._draining is None:
            self._draining = asyncio.create_task(drained(self.envoy, self.settings.farewell, stays=stays))
            self._stack.push_async_callback(_cancelled, self._draining)
        return self._draining

    async def _open(self, stack: AsyncExitStack) -> None:
        sockets = SocketFiles(
            (self.settings.xds_socket, self.settings.sds_socket),
            (self.relay.handlers(), self.secrets.handlers()),
            user=self.settings.socket_user,
        )
        await sockets.open()
        stack.push_async_callback(sockets.close)
        if self.dns is not None:
            self.dns_ports = await stack.enter_async_context(self.dns.listening())
        if self.settings.status_port is not None:
            await self._answer(stack, self.settings.status_port)
        self._look_for_revoked()
        works = [self.identity.run(), sockets.keep(), self._look_at_files(), self._write_files()]
        if self.settings.health is not None:
            works.append(watch(self.settings.health, self.settings.address, self._network, self.relay.report))
        for work in works:
            task = asyncio.create_task(work)
            task.add_done_callback(self._done)
            stack.push_async_callback(_cancelled, task)

    async def _answer(self, stack: AsyncExitStack, port: int) -> None:
        pages = Status(unready=self.ready, metrics=self._metrics, check=self._check, end=self._end)
        host = "::" if ":" in self.settings.address else "0.0.0.0"  # noqa: S104 - for the kubelet and Prometheus
        listener = self._network.listener(host, port)
        self.status_port = listener.getsockname()[1]
        await stack.enter_async_context(answering(pages.application(), listener))

    async def _metrics(self, accept: str) -> Page:
        return await merged(
            generate_latest(self._registry), self.envoy, self.settings.application, self._network, accept
        )

    async def _check(self, path: str) -> int:
        return (await probed(self.settings.probes[path], self.settings.address, self._network)).status

    def _done(self, task: asyncio.Task[None]) -> None:
        """A task that failed is a fault of ours: the agent ends rather than go on in part."""
        if not task.cancelled() and (failed := task.exception()) is not None:
            _LOG.critical("the agent failed", exc_info=failed)
            self.ending.set()

    def _end(self, drain: bool) -> None:  # noqa: FBT001 - what the page says
        if drain:
            self._drain_begun(stays=True)
        else:
            self.ending.set()

    async def _look_at_files(self) -> None:
        while True:
            await asyncio.sleep(_LOOK.total_seconds())
            self.secrets.look_at_files()
            before = self.holding.now.revoked
            self._look_for_revoked()
            if (now := self.holding.now.revoked) != before:
                _LOG.info("revoked certificates changed, inbound connections are drained")
                # Envoy must know the new list before: whom it turns out may come back at once.
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.secrets.taken(), _TAKEN.total_seconds())
                await self.relay.refresh_inbound(hashlib.sha256(now).hexdigest()[:16])

    def _look_for_revoked(self) -> None:
        if self.settings.revoked is None:
            return
        file = self.settings.revoked
        try:
            self.holding.refuse(file.read_bytes() if file.exists() else b"")
        except (OSError, ValueError) as unreadable:
            if str(unreadable) != self._unreadable:
                self._unreadable = str(unreadable)
                _LOG.error(
                    "revoked certificates cannot be read, those known stay refused", extra=fields(reason=unreadable)
                )
        else:
            self._unreadable = ""

    async def _write_files(self) -> None:
        if self.settings.output is None:
            return
        with self.holding.watched() as news:
            while True:
                await news.wait()
                news.clear()
                try:
                    certificate_files.write(self.holding.now, self.settings.output)
                except OSError as failed:
                    _LOG.error("certificate not written", extra=fields(reason=str(failed)))


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))
