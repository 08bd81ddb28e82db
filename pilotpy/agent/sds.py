"""Serves secrets to the Envoy of a pod: ``SecretDiscoveryService``, both of its streams.

Who may connect is a matter of the socket's file; whoever can is given the private key.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import Any, Final

import grpc
import grpc.aio

from pilotpy.agent.held import Holding
from pilotpy.agent.sds_session import SdsSession
from pilotpy.agent.secrets import FILES, Sealed, file_bytes, secret
from pilotpy.ops.logs import fields
from pilotpy_protos.envoy.service.secret.v3 import sds_pb2

_LOG: Final = logging.getLogger("pilotpy.sds")
_SERVICE: Final = sds_pb2.DESCRIPTOR.services_by_name["SecretDiscoveryService"].full_name

Context = Any  # grpc.aio.ServicerContext[bytes, bytes], which is generic in the stubs only


class SecretService:
    """The secrets of one workload."""

    def __init__(self, holding: Holding) -> None:
        self._holding = holding
        self._files: dict[str, Sealed | None] = {}  # asked for, as last read
        self._sessions = set[SdsSession]()
        self._heard = asyncio.Event()  # something from Envoy

    @property
    def streams(self) -> int:
        """How many there are."""
        return len(self._sessions)

    async def taken(self) -> None:
        """Wait until Envoy has answered for the newest of all that it asked for."""
        while not all(session.is_current for session in self._sessions):
            self._heard.clear()
            await self._heard.wait()

    def handlers(self) -> grpc.GenericRpcHandler[bytes, bytes]:
        """For a gRPC server."""
        methods = {
            "StreamSecrets": self._method(incremental=False),
            "DeltaSecrets": self._method(incremental=True),
        }
        return grpc.method_handlers_generic_handler(_SERVICE, methods)

    def look_at_files(self) -> None:
        """Read the files that were asked for once more, and tell Envoy of those that changed."""
        before = dict(self._files)
        for name in before:
            self._find(name)
        if self._files != before:
            self._holding.notify()

    def _find(self, name: str) -> Sealed | None:
        found = secret(name, self._holding.now, file_bytes)
        if name.startswith(FILES):
            self._files[name] = found
        return found

    def _method(self, *, incremental: bool) -> Any:
        return grpc.stream_stream_rpc_method_handler(partial(self._serve, incremental=incremental))

    async def _serve(self, _requests: object, context: Context, *, incremental: bool) -> None:
        session = SdsSession(self._find, incremental=incremental)
        self._sessions.add(session)
        with self._holding.watched() as news:
            reading = asyncio.ensure_future(context.read())
            waiting = asyncio.ensure_future(news.wait())
            try:
                while True:
                    await asyncio.wait((reading, waiting), return_when=asyncio.FIRST_COMPLETED)
                    if reading.done():
                        message = reading.result()
                        if not isinstance(message, bytes):  # the end
                            return
                        await _send(context, self._asked(session, message))
                        self._heard.set()
                        reading = asyncio.ensure_future(context.read())
                    if waiting.done():
                        news.clear()
                        await _send(context, session.changed())
                        waiting = asyncio.ensure_future(news.wait())
            except ValueError as wrong:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(wrong))
            finally:
                self._sessions.discard(session)
                self._heard.set()
                for task in (reading, waiting):
                    task.cancel()
                    with suppress(asyncio.CancelledError, grpc.aio.InternalError, grpc.aio.UsageError):
                        await task

    @staticmethod
    def _asked(session: SdsSession, message: bytes) -> bytes | None:
        before = session.refusal
        answer = session.asked(message)
        if session.refusal and session.refusal != before:
            _LOG.error("secret refused by Envoy", extra=fields(names=list(session.names), reason=session.refusal))
        return answer


async def _send(context: Context, answer: bytes | None) -> None:
    if answer is not None:
        with suppress(grpc.aio.InternalError, grpc.aio.UsageError):  # Envoy left; reading tells
            await context.write(answer)
