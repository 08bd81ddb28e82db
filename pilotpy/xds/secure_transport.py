"""gRPC over TLS on one address: the front that does the handshakes, and the plaintext server behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import grpc

from pilotpy.xds.grpc_transport import Fronted, GrpcTransport, Limits
from pilotpy.xds.transport import Serve
from pilotpy_ca.front import Front


class SecureTransport:
    """Implements `transport.Transport`; what it serves beside ADS (`handlers`) is for authenticated callers alone.

    `stranger` is called whenever somebody reaches the server behind the front by another way, and is refused.
    """

    def __init__(
        self,
        address: str,
        front: Front,
        limits: Limits,
        stranger: Callable[[], None],
        handlers: Sequence[grpc.GenericRpcHandler[Any, Any]] = (),
    ) -> None:
        self._address = address
        self._front = front
        self._inner = GrpcTransport(front.inner_address, limits, Fronted(front.peer, stranger, handlers))

    async def start(self, serve: Serve) -> str:
        """Listen; see `Transport.start`. The front must have a certificate to present by now."""
        await self._inner.start(serve)
        return await self._front.start(self._address)

    async def stop(self, grace: timedelta) -> None:
        """Stop the server, which tells its clients; then the front."""
        await self._inner.stop(grace)
        await self._front.stop()
