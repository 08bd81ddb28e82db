"""Makes the Pods of a lab run that should, and ends those that should not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import count

from pilotpy.agent.bootstrap import Address
from pilotpy.lab.names import Name, hosts_file, is_ipv4, names
from pilotpy.lab.network import GATEWAY
from pilotpy.lab.news import MeshFacts
from pilotpy.lab.plan import Plan, plan
from pilotpy.lab.running_pod import RunningPod
from pilotpy.lab.sidecar import Machine
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Ref, Resource
from pilotpy.sources.rollout import PodState

DISCOVERY = Address(GATEWAY, 15012)

Report = Callable[[Ref, PodState], None]
_log = logging.getLogger(__name__)


class Kubelet:
    """The one node of a lab. All calls come from one event loop."""

    def __init__(self, machine: Machine, report: Report) -> None:
        self._machine = machine
        self._report = report
        self._running: dict[Ref, RunningPod] = {}
        self._ending: dict[Ref, tuple[RunningPod, asyncio.Task[None]]] = {}
        self._finishing: dict[Ref, asyncio.Task[None]] = {}
        self._port = count(1)
        self._known: tuple[Name, ...] = ()

    @property
    def running(self) -> Mapping[Ref, RunningPod]:
        """Pods that run, and were not told to end."""
        return self._running

    def processes(self) -> frozenset[int]:
        """Process ids of all programs that were started here and have not been waited for."""
        ending = (running for running, _ in self._ending.values())
        return frozenset(pid for running in (*self._running.values(), *ending) for pid in running.process_ids())

    def run(self, wanted: Iterable[Resource[Pod]], services: Iterable[Resource[KubeService]], mesh: MeshFacts) -> None:
        """Have exactly these run, as soon as can be. A Pod whose program changed is ended and begun anew."""
        pods = {pod.ref: pod for pod in wanted}
        services = tuple(services)
        self._known = names(services, pods.values())
        plans = {ref: self._plan(pod, services, mesh) for ref, pod in pods.items()}
        for ref, running in list(self._running.items()):
            made = plans.get(ref)
            if made is not None and running.plan.differs_in_ports_only(made):
                running.listen(made)
            elif running.plan != made:
                self._end(ref, drain=True)
        for ref, wanted_plan in plans.items():
            if wanted_plan is not None and ref not in self._running and ref not in self._ending:
                self._begin(wanted_plan)
        for ref, running in self._running.items():
            _rewrite(running, hosts_file(pods[ref], self._known))

    async def stop(self) -> None:
        """End all of them at once."""
        for ref in list(self._running):
            self._end(ref, drain=False)
        await asyncio.gather(*(task for _, task in self._ending.values()))

    def _plan(self, pod: Resource[Pod], services: Iterable[Resource[KubeService]], mesh: MeshFacts) -> Plan | None:
        made = plan(pod, services, mesh, DISCOVERY, marked=not self._machine.as_root)
        if not is_ipv4(made.address):
            _log.error("%s: the lab's network carries IPv4 only, not %s", made.name, made.address)
            return None
        return made

    def _begin(self, made: Plan) -> None:
        running = RunningPod(made, f"pod{next(self._port)}", self._machine, self._report)
        self._running[made.ref] = running
        self._finishing[made.ref] = asyncio.create_task(self._finish(made.ref, running))
        self._report(made.ref, PodState.STARTING)
        if made.note:
            _log.warning("%s: %s", made.name, made.note)

    async def _finish(self, ref: Ref, running: RunningPod) -> None:
        await running.finished.wait()
        self._end(ref, drain=False)

    def _end(self, ref: Ref, *, drain: bool) -> None:
        running = self._running.pop(ref)
        if not running.finished.is_set():
            self._finishing[ref].cancel()
        del self._finishing[ref]
        ending = asyncio.create_task(running.end(drain=drain))
        self._ending[ref] = (running, ending)
        ending.add_done_callback(lambda _: self._gone(ref))

    def _gone(self, ref: Ref) -> None:
        # Only now may another of this name begin.
        del self._ending[ref]
        self._report(ref, PodState.GONE)


def _rewrite(running: RunningPod, text: str) -> None:
    """In place, as pods have this very file mounted; never shorter than what is being read."""
    with suppress(FileNotFoundError):
        if running.hosts.read_text() == text:
            return
    running.hosts.touch()
    with running.hosts.open("r+b") as file:
        file.write(text.encode())
        file.truncate()
