"""A program beside a test: started, ready when a condition holds, ended with the test at the latest."""

import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.waiting import eventually

# To the kernel, the parent of a process is the thread that started it: one that stays as long as we do.
_STARTER = ThreadPoolExecutor(1)


class Program:
    """A server that keeps its command, so that it can be ended and started again."""

    def __init__(self, command: list[str], log: Path, ready: Callable[[], bool]) -> None:
        self._command = command
        self._log = log
        self._ready = ready
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.pid

    def start(self, patience: float = 60) -> None:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as log:
            # It ends with us however we end: setpriv(1) asks the kernel for that.
            command = ["setpriv", "--pdeathsig", "KILL", "--", *self._command]
            start = partial(subprocess.Popen, command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            self._running = _STARTER.submit(start).result()
        try:
            eventually(self._ready_or_ended, patience, words=self._complaint)
            assert self._running.poll() is None, self._complaint()
        except AssertionError:
            self.stop(signal.SIGKILL)
            raise

    def _ready_or_ended(self) -> bool:
        assert self._running is not None
        return self._running.poll() is not None or self._ready()

    def _complaint(self) -> str:
        return f"{self._command[0]} is not ready:\n{self._log.read_text()[-4000:]}"

    def stop(self, number: int = signal.SIGTERM, patience: float = 20) -> None:
        """End it by a signal, and by force if that does not help in time. It may be gone already."""
        if self._running is None:
            return
        self._running.send_signal(number)
        try:
            self._running.wait(patience)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()
        self._running = None

    def pause(self) -> None:
        """Let it neither answer nor close anything, until `resume`."""
        assert self._running is not None
        self._running.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{self.pid}/stat")
        eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")  # a signal takes its time

    def resume(self) -> None:
        assert self._running is not None
        self._running.send_signal(signal.SIGCONT)
