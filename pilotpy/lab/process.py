"""Programs of the lab: started in a pod's network, watched, ended.

The lab is the first process of a process namespace: when it ends, however it ends, the kernel ends all others in it.
What is here is for the orderly way.

Source  pid_namespaces(7), pidfd_open(2).
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from pilotpy.lab.network import Network

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0  # seconds before a program that ended is started again
_WELL = 30.0  # seconds after which a program is taken to have run well

# A mount namespace of its own for each program, where the pod's hosts file is in the place of the machine's.
_WITH_HOSTS = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
_BIND = 'mount --bind "$0" /etc/hosts && exec "$@"'


class Program(NamedTuple):
    """What to start."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path  # standard output and error, appended
    hosts: Path | None = None  # what it sees as /etc/hosts; None: the machine's
    keep: tuple[int, ...] = ()  # file descriptors that it inherits


class Process:
    """A running program. Belongs to the event loop that it was started in."""

    def __init__(self, popen: subprocess.Popen[bytes], name: str) -> None:
        self.name = name
        self._popen = popen
        self._ended = asyncio.get_running_loop().create_future()
        self._fd = os.pidfd_open(popen.pid)
        asyncio.get_running_loop().add_reader(self._fd, self._on_end)

    @property
    def pid(self) -> int:
        """As the lab counts."""
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        """Not known to have ended."""
        return not self._ended.done()

    async def ended(self) -> int:
        """Wait for its end. Returns the exit status, negative for a signal."""
        return await asyncio.shield(self._ended)

    def kill(self) -> None:
        """End it, and all that it started, on the spot."""
        if self.is_running:
            with suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    async def end(self, grace: timedelta) -> None:
        """Ask it and all that it started to end; after ``grace`` insist."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.is_running:
                with suppress(ProcessLookupError):
                    os.killpg(self._popen.pid, number)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.ended(), grace.total_seconds())

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
        self._ended.set_result(self._popen.wait())


class Pause:
    """How long to wait before a program is started again: ever longer while it keeps ending soon."""

    def __init__(self) -> None:
        self._seconds = _SHORTEST_PAUSE
        self._last = -math.inf

    def next(self, now: float) -> float:
        """Seconds to wait at a time on the loop's clock."""
        self._seconds = min(2 * self._seconds, _LONGEST_PAUSE) if now - self._last < _WELL else _SHORTEST_PAUSE
        self._last = now
        return self._seconds


def start(program: Program, network: Network | None = None, name: str = "") -> Process:
    """Start it in ``network`` (None: the lab's own), as the leader of a process group of its own. Raises OSError."""
    command = [*(entered_hosts(program.hosts) if program.hosts else ()), *program.command]
    with program.log.open("ab") as log, network.inside() if network else nullcontext():
        popen = subprocess.Popen(  # noqa: S603 - what the lab's user wrote into a manifest is what they want run
            command,
            cwd=program.folder,
            env=dict(program.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=program.keep,
        )
    return Process(popen, name)


def entered_hosts(hosts: Path) -> Sequence[str]:
    """The command that runs the command behind it with ``hosts`` as /etc/hosts."""
    return (*_WITH_HOSTS, _BIND, str(hosts))


def _session(process: int) -> int:
    """Of a process; 0 if another thread has waited for it meanwhile."""
    try:
        return os.getsid(process)
    except ProcessLookupError:
        return 0


def reap_orphans(own: frozenset[int]) -> None:
    """Take the exit status of processes whose parents are gone; the first process inherits them. Not of ``own``.

    They are known by their session: that of one of the lab's programs. What the lab itself runs and waits for is in
    its own.
    """
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid in own or _session(found.si_pid) in {0, os.getsid(0)}:
            return
        os.waitpid(found.si_pid, 0)
