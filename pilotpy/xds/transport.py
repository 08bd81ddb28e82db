"""The way to the clients: streams of messages as bytes, whatever carries them.

A transport accepts streams and hands each to `serve`; it knows nothing of what the messages say. `serve` ends a
stream by returning, or by raising `Refusal` to tell the client why.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import Enum
from typing import Protocol

from pilotpy_ca.authenticators import Credentials


class Code(Enum):
    """Why a stream ends, in gRPC's status codes."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


class Refusal(Exception):
    """Ends a stream, and tells its client what is wrong."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Stream(Protocol):
    """One bidirectional stream. One task may read while another writes."""

    peer: str  # "ipv4:127.0.0.1:40514"
    incremental: bool  # which of the two methods of ADS the client called
    credentials: Credentials | None  # what it shows; None: on this port nobody is asked who they are

    async def read(self) -> bytes | None:
        """The next message; None once the client has no more."""
        ...

    async def write(self, message: bytes) -> None:
        """Send a message; returns when the client's window has taken it."""
        ...


Serve = Callable[[Stream], Awaitable[None]]


class Transport(Protocol):
    """Accepts streams on one address."""

    async def start(self, serve: Serve) -> str:
        """Listen, and serve each stream in a task of its own; returns the address, its port filled in."""
        ...

    async def stop(self, grace: timedelta) -> None:
        """Accept no more, and end the streams that are still open after `grace`."""
        ...
