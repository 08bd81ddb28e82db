"""Streams over gRPC: the two methods of AggregatedDiscoveryService, reflection and health, by grpc.aio.

Generic handlers without serialisers: messages stay bytes, so a response is joined once and never parsed. Settings
are istiod's (pilot/pkg/grpc/grpc.go, pkg/keepalive/options.go).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from pilotpy.ops.logs import fields
from pilotpy.xds.transport import Code, Refusal, Serve
from pilotpy_ca.authenticators import Credentials, Peer, credentials_of
from pilotpy_protos.envoy.service.discovery.v3 import ads_pb2

_SERVICE: Final = ads_pb2.DESCRIPTOR.services_by_name["AggregatedDiscoveryService"].full_name

_LOG: Final = logging.getLogger("pilotpy.ads")

Context = Any  # grpc.aio.ServicerContext[bytes, bytes], which is generic in the stubs only


class Limits(NamedTuple):
    """What one client may take and how long it may be silent."""

    streams: int = 100_000  # per connection
    request_bytes: int = 4 << 20
    ping_every: timedelta = timedelta(seconds=30)
    ping_patience: timedelta = timedelta(seconds=10)
    idle: timedelta = timedelta(minutes=5)  # a connection without a call is closed; agents have one under way
    connection_age: timedelta | None = None  # None: connections are not closed for their age
    connection_grace: timedelta = timedelta(seconds=10)


class Fronted(NamedTuple):
    """What a server needs that stands behind a TLS front."""

    peer_of: Callable[[str], Peer | None]  # whose connection an inner one is, by what gRPC calls its peer
    stranger: Callable[[], None]  # called for each call that did not come through the front
    handlers: Sequence[grpc.GenericRpcHandler[Any, Any]] = ()  # of services that are for authenticated callers alone


class GrpcTransport:
    """Plaintext gRPC on one address (`host:port`; port 0 takes a free one; `unix:path`).

    With a `fronted`, nobody is served whose connection did not come through the front.
    """

    def __init__(self, address: str, limits: Limits | None = None, fronted: Fronted | None = None) -> None:
        self._address = address
        self._limits = limits if limits is not None else Limits()
        self._fronted = fronted
        self._server: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs know only the blocking one

    async def start(self, serve: Serve) -> str:
        """Listen; see `Transport.start`. Raises `OSError` if the address is taken."""
        server = self._server = grpc.aio.server(options=_options(self._limits))
        methods = {
            "StreamAggregatedResources": _method(serve, self._fronted, incremental=False),
            "DeltaAggregatedResources": _method(serve, self._fronted, incremental=True),
        }
        more = self._fronted.handlers if self._fronted is not None else ()
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, methods), *more))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (_SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        try:
            port = server.add_insecure_port(self._address)
        except RuntimeError as taken:
            raise OSError(f"cannot listen on {self._address}: {taken}") from taken
        await server.start()
        for name in ("", _SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return f"{self._address.rpartition(':')[0]}:{port}"

    async def stop(self, grace: timedelta) -> None:
        """Say so to health checks and to connections (GOAWAY), then close what is left after `grace`."""
        if self._server is None:
            return
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace.total_seconds())


class _GrpcStream:
    """One call."""

    __slots__ = ("_context", "credentials", "incremental", "peer")

    def __init__(self, context: Context, credentials: Credentials | None, *, incremental: bool) -> None:
        self._context = context
        self.incremental = incremental
        self.credentials = credentials
        self.peer: str = context.peer() if credentials is None else credentials.peer.address

    async def read(self) -> bytes | None:
        message = await self._context.read()
        return message if isinstance(message, bytes) else None  # else it is grpc.aio.EOF

    async def write(self, message: bytes) -> None:
        try:
            await self._context.write(message)
        except (grpc.aio.InternalError, grpc.aio.UsageError) as over:
            raise ConnectionResetError(str(over)) from over


def _shown(context: Context, fronted: Fronted | None) -> Credentials | None:
    """What a call shows of who makes it; None where nobody is asked. Raises `Refusal`."""
    if fronted is None:
        return None
    inner = context.peer()
    peer = fronted.peer_of(inner)
    if peer is None:
        fronted.stranger()
        _LOG.error("a connection did not come through the front", extra=fields(peer=inner))
        raise Refusal(Code.UNAUTHENTICATED, "authentication failure")
    return credentials_of(context.invocation_metadata() or (), peer)


def _method(serve: Serve, fronted: Fronted | None, *, incremental: bool) -> Any:
    async def handle(_requests: object, context: Context) -> None:
        # A cancelled call raises CancelledError here; it must reach grpc, or the call never ends.
        try:
            await serve(_GrpcStream(context, _shown(context, fronted), incremental=incremental))
        except Refusal as refusal:
            await context.abort(grpc.StatusCode[refusal.code.value], refusal.message)

    return grpc.stream_stream_rpc_method_handler(handle)


def _options(limits: Limits) -> list[tuple[str, int]]:
    ping = _milliseconds(limits.ping_every)
    options = [
        ("grpc.max_concurrent_streams", limits.streams),
        ("grpc.max_receive_message_length", limits.request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.keepalive_time_ms", ping),
        ("grpc.keepalive_timeout_ms", _milliseconds(limits.ping_patience)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", ping // 2),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_connection_idle_ms", _milliseconds(limits.idle)),
        ("grpc.so_reuseport", 0),
    ]
    if limits.connection_age is not None:
        options.append(("grpc.max_connection_age_ms", _milliseconds(limits.connection_age)))
        options.append(("grpc.max_connection_age_grace_ms", _milliseconds(limits.connection_grace)))
    return options


def _milliseconds(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
