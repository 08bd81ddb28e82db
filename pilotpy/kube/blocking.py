"""An API server for those who cannot await: the storage of keys is asked in the middle of what must not be parted.

Each request holds up its caller, so for a moment only; and a server that did not answer is left alone for a while.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import TimeoutError as NoResult
from datetime import timedelta
from random import Random
from typing import Any, Final

from pilotpy.sources.kubernetes.backoff import Backoff
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.login import Login
from pilotpy.sources.kubernetes.trouble import Unreachable

PATIENCE: Final = timedelta(seconds=2)
_SLACK: Final = timedelta(seconds=1)
_PAUSES: Final = timedelta(seconds=2), timedelta(seconds=30)  # after a request without an answer; at most


class Blocking:
    """Requests over a connection of its own, which lives in a thread of its own."""

    def __init__(self, login: Login, random: Random) -> None:
        self._connection = Connection(login)
        self._backoff = Backoff(random, *_PAUSES)
        self._not_before = float("-inf")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="API server", daemon=True)
        self._thread.start()

    def ask(self, method: str, path: str, body: Any = None, patience: timedelta = PATIENCE) -> bytes:
        """The body of a successful answer. Raises `Trouble`."""
        if (left := self._not_before - time.monotonic()) > 0:
            raise Unreachable(f"no answer the last time; to be asked again in {left:.0f} s")
        answer = asyncio.run_coroutine_threadsafe(
            self._connection.ask(method, path, body, patience=patience), self._loop
        )
        try:
            found = answer.result((patience + _SLACK).total_seconds())
        except NoResult:  # a way to log in that takes its time
            answer.cancel()
            self._silent()
            raise Unreachable("no answer in time") from None
        except Unreachable:
            self._silent()
            raise
        self._backoff.reset()
        return found

    def close(self) -> None:
        """End the thread."""
        asyncio.run_coroutine_threadsafe(self._connection.close(), self._loop).result(PATIENCE.total_seconds())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _silent(self) -> None:
        self._not_before = time.monotonic() + self._backoff.pause().total_seconds()
