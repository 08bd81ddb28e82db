"""`pilotpy serve --kubernetes` as a process of a lab: started, started again when it ends, killed and brought back."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from pilotpy.lab.process import Pause, Process, Program, start

_SERVE: Final = (sys.executable, "-m", "pilotpy", "serve", "--kubernetes")
# Few proxies and one author: nothing is won by waiting for more changes.
_QUICK: Final = {"PILOT_DEBOUNCE_AFTER": "5ms", "PILOTPY_ENDPOINT_WINDOW": "5ms"}
_ORDERLY: Final = timedelta(seconds=2)
_log = logging.getLogger(__name__)


class Serving:
    """The control plane's process."""

    def __init__(self, log: Path, changed: Callable[[], None]) -> None:
        """`changed`: is told when it starts and when it ends."""
        self._log = log
        self._changed = changed
        self._may_run = asyncio.Event()
        self._may_run.set()
        self._process: Process | None = None

    async def run(self, host: str, arguments: Sequence[str]) -> None:
        """Keep it running until cancelled, then end it. `host`: that it serves on; `arguments`: how it logs in."""
        addresses = (
            f"--grpc-address={host}:15010",
            f"--secure-grpc-address={host}:15012",
            "--http-address=:8080",
            "--monitoring-address=:15014",
        )
        program = Program((*_SERVE, *arguments, *addresses), os.environ | _QUICK, Path.cwd(), self._log)
        pause = Pause()
        self._log.write_bytes(b"")
        while True:
            await self._may_run.wait()
            self._process = process = start(program)
            self._changed()
            try:
                await process.ended()
            finally:
                await process.end(_ORDERLY)
                self._process = None
                self._changed()
            if self._may_run.is_set():
                _log.warning("the control plane ended, see %s; it is started again", self._log)
                await asyncio.sleep(pause.next(asyncio.get_running_loop().time()))

    def kill(self) -> None:
        """Have it die on the spot, and stay away until `revive`."""
        self._may_run.clear()
        if self._process is not None:
            self._process.kill()

    def revive(self) -> None:
        """Have it run again."""
        self._may_run.set()

    def process_ids(self) -> frozenset[int]:
        """Of its process, if there is one that must still be waited for."""
        return frozenset((self._process.pid,)) if self._process is not None else frozenset()

    @property
    def is_up(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.is_running
