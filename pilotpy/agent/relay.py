"""Relays Envoy's discovery stream to the control plane: a stream and a connection there for each one here.

Either end closing closes both; to try again is Envoy's part, and it backs off. A new stream of Envoy replaces the one
before it. Nothing is held back: gRPC's windows on both sides do that.

Source  istio/istio ``pkg/istio-agent/xds_proxy.go``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final

import grpc
import grpc.aio

from pilotpy.agent.inbound_connections import InboundConnections
from pilotpy.agent.relay_session import Health, RelaySession, Taken
from pilotpy.agent.upstream import Unreachable, Upstream
from pilotpy.ops.logs import fields
from pilotpy_protos.envoy.service.discovery.v3 import ads_pb2
from pilotpy_protos.istio.networking.nds.v1.nds_pb2 import NameTable

_LOG: Final = logging.getLogger("pilotpy.relay")
_SERVICE: Final = ads_pb2.DESCRIPTOR.services_by_name["AggregatedDiscoveryService"].full_name
_DIAL: Final = timedelta(seconds=5)

Context = Any  # grpc.aio.ServicerContext[bytes, bytes], which is generic in the stubs only
Call = Any  # grpc.aio.StreamStreamCall[bytes, bytes], likewise


class Relay:
    """Between one Envoy and its control plane."""

    def __init__(
        self,
        plane: Upstream,
        *,
        names: Callable[[NameTable], None] | None,
        roots: Callable[[tuple[str, ...]], None],
        taken: Callable[[], Awaitable[None]],
    ) -> None:
        self.connected = False
        self._plane = plane
        self._take_names = names  # None: nobody answers for names, so they are not asked for
        self._take_roots = roots
        self._envoy_has_roots = taken
        self._inbound = InboundConnections()
        self._stream: _Relayed | None = None
        self._health: Health | None = None

    def handlers(self) -> grpc.GenericRpcHandler[bytes, bytes]:
        """For a gRPC server."""
        methods = {
            name: grpc.stream_stream_rpc_method_handler(partial(self._serve, incremental=incremental))
            for name, incremental in _METHODS.items()
        }
        return grpc.method_handlers_generic_handler(_SERVICE, methods)

    async def report(self, health: Health) -> None:
        """Tell the control plane how the application is, now and on every stream to come."""
        self._health = health
        if self._stream is not None:
            await self._stream.report(health)

    async def refresh_inbound(self, mark: str) -> None:
        """Have Envoy drain the TLS connections that others opened to it; they may open new ones."""
        if self._stream is not None:
            await self._stream.refresh_inbound(mark)

    async def _serve(self, _requests: object, context: Context, *, incremental: bool) -> None:
        if self._stream is not None:
            self._stream.end()
        session = RelaySession(self._inbound, incremental=incremental, names=self._take_names is not None)
        if self._health is not None:
            session.health(self._health)
        stream = self._stream = _Relayed(session, context, self._used)
        try:
            await self._relay(stream, incremental=incremental)
        except Unreachable as lost:
            _LOG.warning("no stream to the control plane", extra=fields(plane=self._plane.address, reason=str(lost)))
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(lost))
        except ValueError as wrong:
            _LOG.error("stream ended", extra=fields(reason=str(wrong)))
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(wrong))
        finally:
            if self._stream is stream:
                self._stream = None
                self.connected = False

    async def _relay(self, stream: _Relayed, *, incremental: bool) -> None:
        async with self._plane.dialled() as channel:
            try:
                await asyncio.wait_for(channel.channel_ready(), _DIAL.total_seconds())
            except TimeoutError:
                raise Unreachable(f"no connection within {_DIAL.total_seconds():g} s") from None
            method = next(name for name, each in _METHODS.items() if each is incremental)
            call = channel.stream_stream(f"/{_SERVICE}/{method}", None, None)(None, metadata=self._plane.metadata())
            self.connected = self._stream is stream
            try:
                await stream.run(call)
            except grpc.aio.AioRpcError as failed:
                raise Unreachable(f"{failed.code().name}: {failed.details()}") from failed
            finally:
                call.cancel()

    async def _used(self, taken: Taken) -> str:
        """Put names or roots to use, roots in Envoy too; returns why they cannot be, or nothing."""
        if taken.names is not None and self._take_names is not None:
            self._take_names(taken.names)
        if taken.roots is not None:
            try:
                self._take_roots(taken.roots)
            except ValueError as bad:
                return f"a root cannot be read: {bad}"
            await self._envoy_has_roots()
        return ""


_METHODS: Final = {"StreamAggregatedResources": False, "DeltaAggregatedResources": True}


class _Relayed:
    """One pair of streams. Several tasks write to either side, one at a time."""

    def __init__(self, session: RelaySession, envoy: Context, used: Callable[[Taken], Awaitable[str]]) -> None:
        self._session = session
        self._envoy = envoy
        self._used = used
        self._plane: Call | None = None
        self._to_envoy, self._to_plane = asyncio.Lock(), asyncio.Lock()
        self._replaced = asyncio.Event()
        self._answers = set[asyncio.Task[None]]()  # under way

    def end(self) -> None:
        """Close both: another took this one's place."""
        self._replaced.set()

    async def run(self, plane: Call) -> None:
        """Relay until one side ends. Raises grpc.aio.AioRpcError of the control plane's, ValueError for nonsense."""
        self._plane = plane
        tasks = [
            asyncio.ensure_future(way) for way in (self._from_envoy(), self._from_plane(plane), self._replaced.wait())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._plane = None
            tasks += self._answers
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def report(self, health: Health) -> None:
        for message in self._session.health(health):
            await self._send_to_plane(message)

    async def refresh_inbound(self, mark: str) -> None:
        message = self._session.fresh_inbound(mark)
        if message is not None:
            await self._send_to_envoy(message)

    async def _from_envoy(self) -> None:
        while isinstance(message := await self._envoy.read(), bytes):
            for each in self._session.from_envoy(message):
                await self._send_to_plane(each)

    async def _from_plane(self, plane: Call) -> None:
        while isinstance(message := await plane.read(), bytes):
            taken = self._session.from_plane(message)
            if taken.to_envoy is not None:
                await self._send_to_envoy(taken.to_envoy)
            if taken.answer is not None:
                # Nothing waits for that: an answer says that this proxy uses what it was sent, which may take a while.
                task = asyncio.create_task(self._answer(taken, taken.answer))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)
        status = await plane.code()
        if status is not grpc.StatusCode.OK:
            raise Unreachable(f"{status.name}: {await plane.details()}")

    async def _answer(self, taken: Taken, answer: bytes) -> None:
        reason = await self._used(taken)
        await self._send_to_plane(self._session.refused(taken, reason) if reason else answer)

    async def _send_to_plane(self, message: bytes) -> None:
        async with self._to_plane:
            if self._plane is not None:
                with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # it left; reading tells why
                    await self._plane.write(message)

    async def _send_to_envoy(self, message: bytes) -> None:
        async with self._to_envoy:
            with suppress(grpc.aio.InternalError, grpc.aio.UsageError):  # Envoy left; reading tells
                await self._envoy.write(message)
