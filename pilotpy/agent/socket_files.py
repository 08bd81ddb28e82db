"""A gRPC server on unix sockets that nobody but one user may open, and that come back when their files are removed."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import grpc
import grpc.aio

from pilotpy.ops.logs import fields

_LOG: Final = logging.getLogger("pilotpy.sockets")
_LONGEST: Final = 107  # bytes of a path that the kernel takes, unix(7)
_LOOK: Final = timedelta(seconds=1)


class SocketFiles:
    """Serves the same on each of some paths."""

    def __init__(
        self,
        paths: Sequence[Path],
        handlers: Sequence[grpc.GenericRpcHandler[bytes, bytes]],
        *,
        user: int | None = None,
    ) -> None:
        self._paths = tuple(paths)
        self._handlers = tuple(handlers)
        self._user = user  # who may open them; None: who this process runs as
        self._server: grpc.aio.Server | None = None
        self._files: list[int] = []  # inodes

    async def open(self) -> None:
        """Serve. Raises OSError with a sentence."""
        for path in self._paths:
            if len(os.fsencode(path)) > _LONGEST:
                raise OSError(f"the path of a unix socket has at most {_LONGEST} bytes: {path}")
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                ("grpc.http2.min_ping_interval_without_data_ms", 1000),
                ("grpc.http2.max_ping_strikes", 0),
            ]
        )
        server.add_generic_rpc_handlers(self._handlers)
        for path in self._paths:
            try:
                server.add_insecure_port(f"unix:{path.absolute()}")
            except RuntimeError as failed:
                raise OSError(f"cannot listen on {path}: {failed}") from failed
            path.chmod(0o600)
            if self._user is not None:
                os.chown(path, self._user, -1)
                os.chown(path.parent, self._user, -1)
        await server.start()
        self._server = server
        self._files = list(map(_inode, self._paths))

    async def keep(self) -> None:
        """Open anew whenever a file is gone or another's."""
        while True:
            await asyncio.sleep(_LOOK.total_seconds())
            if list(map(_inode, self._paths)) == self._files:
                continue
            _LOG.warning("a socket's file is gone, listening anew", extra=fields(paths=list(map(str, self._paths))))
            await self.close()
            try:
                await self.open()
            except OSError as failed:
                self._files = []  # not what is there, so the next look tries again
                _LOG.error("no sockets", extra=fields(reason=str(failed)))

    async def close(self) -> None:
        """Hang up on all."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None
        for path in self._paths:
            path.unlink(missing_ok=True)


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
