"""The first process of a lab: it owns the switch, the control plane, every pod and every forwarded port.

Runs inside the namespaces that ``entry`` made. What runs follows from what the control plane's sources want; what
became of it goes back there.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from pilotpy.lab import state as files
from pilotpy.lab.cluster.order import ClusterOrder
from pilotpy.lab.forward import Forward, Target
from pilotpy.lab.kubelet import DISCOVERY, Kubelet
from pilotpy.lab.network import raise_switch
from pilotpy.lab.news import MeshFacts
from pilotpy.lab.process import reap_orphans
from pilotpy.lab.running_pod import RunningPod
from pilotpy.lab.sidecar import Machine
from pilotpy.lab.state import PodRecord, State
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Finding, Ref, Resource
from pilotpy.sources.rollout import PodState

KILL_PLANE, REVIVE_PLANE = signal.SIGUSR1, signal.SIGUSR2
"""What other shells send a lab, so that its control plane dies and comes back."""

_log = logging.getLogger(__name__)


class Plane(Protocol):
    """A control plane whose Pods really run."""

    async def start(self, host: str) -> None:
        """Read the sources and serve on an address of this machine; returns once it is ready. Raises OSError."""

    async def stop(self) -> None:
        """End the streams and the sources."""

    async def changed(self) -> None:
        """Wait for something new about Pods or Services since the last call."""

    def wanted(self) -> tuple[Resource[Pod], ...]:
        """The Pods that should run now, with addresses."""

    def services(self) -> tuple[Resource[KubeService], ...]:
        """All Services, with addresses."""

    @property
    def mesh(self) -> MeshFacts:
        """What Pods must know of the mesh."""

    def observe(self, pod: Ref, state: PodState) -> None:
        """Say what a Pod does."""

    def kill(self) -> None:
        """Have it die on the spot, and stay away until ``revive``."""

    def revive(self) -> None:
        """Have it run again."""

    def process_ids(self) -> frozenset[int]:
        """Of its process, if there is one that must still be waited for."""

    @property
    def is_up(self) -> bool:
        """Whether it runs."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with what was written, now."""

    @property
    def kubeconfig(self) -> str:
        """Of the API server that it goes by; "": there is none, or it is kubectl's own."""


class Port(msgspec.Struct, frozen=True):
    """A port of the machine that leads to a Service."""

    descriptor: int  # of the listening socket
    url: str
    namespace: str
    service: str
    port: int


class Order(msgspec.Struct, frozen=True):
    """What the process outside asks the one inside for."""

    place: str  # folder of the lab's files
    folders: tuple[str, ...]  # of manifests
    own_user: bool
    envoy: int  # descriptors that are inherited
    packages: str  # folder of the HTTP/2 library
    ports: tuple[Port, ...]
    cluster: ClusterOrder | None = None  # None: the folders say what runs


class Lab:
    """A lab from inside, while it runs."""

    def __init__(self, order: Order, plane: Plane) -> None:
        place = Path(order.place)
        machine = Machine(
            state=place,
            folder=_working_folder(order.folders),
            envoy=order.envoy,
            as_root=not order.own_user,
            packages=order.packages,
        )
        self.plane = plane
        self.kubelet = Kubelet(machine, self._reported)
        self._order = order
        self._place = place
        self._begun = False  # it is known what should run
        self._news = asyncio.Event()  # about what should run, or what does
        self._stopping = asyncio.Event()
        self._forwards = [
            Forward(socket.socket(fileno=port.descriptor), partial(behind, self, port)) for port in order.ports
        ]

    async def run(self) -> None:
        """Run until told to stop, then end everything in order. Raises OSError for a machine that will not."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        loop.add_signal_handler(KILL_PLANE, self.plane.kill)
        loop.add_signal_handler(REVIVE_PLANE, self.plane.revive)
        _quiet_resolver(self._place)
        raise_switch()
        self._publish()  # from now on it can be told to stop
        for forward in self._forwards:
            await forward.start()
        following = asyncio.create_task(self._follow())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((following, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for forward in self._forwards:
                forward.stop()
            for task in (following, stopping):
                task.cancel()
            await self.kubelet.stop()
            await self.plane.stop()
            files.clean(self._place)
        with suppress(asyncio.CancelledError):
            await following

    def stop(self) -> None:
        """Have ``run`` return soon."""
        self._stopping.set()

    async def ending(self) -> None:
        """Wait until it was told to stop."""
        await self._stopping.wait()

    async def settled(self) -> None:
        """Wait until every Pod that is wanted is ready."""
        while not self._is_settled():
            await self.stirred()

    async def stirred(self) -> None:
        """Wait for the next news: of what should run, what does, or what is wrong with manifests."""
        self._news.clear()
        await self._news.wait()

    def _is_settled(self) -> bool:
        wanted = {pod.ref for pod in self.plane.wanted()}
        ready = {ref for ref, running in self.kubelet.running.items() if running.state is PodState.READY}
        return self._begun and wanted == ready

    def ready(self, namespace: str, selector: Iterable[tuple[str, str]]) -> list[RunningPod]:
        """Pods that are ready and have these labels, sorted by name."""
        pods = {pod.ref: pod for pod in self.plane.wanted()}
        chosen = dict(selector).items()
        return [
            running
            for ref, running in sorted(self.kubelet.running.items())
            if running.state is PodState.READY
            and ref.namespace == namespace
            and ref in pods
            and chosen <= pods[ref].meta.labels.items()
        ]

    async def _follow(self) -> None:
        await self.plane.start(DISCOVERY.host)
        while True:
            self.kubelet.run(self.plane.wanted(), self.plane.services(), self.plane.mesh)
            self._begun = True
            self._publish()
            self._news.set()
            await self.plane.changed()

    def _reported(self, pod: Ref, state: PodState) -> None:
        _log.info("%s %s", pod, state.value)
        self.plane.observe(pod, state)
        self._publish()
        self._news.set()

    def _publish(self) -> None:
        files.write(self._place, self.state())

    def state(self) -> State:
        """What other shells are told."""
        pods = (_record(ref, running) for ref, running in sorted(self.kubelet.running.items()))
        urls = {f"{port.service}.{port.namespace}": port.url for port in self._order.ports}
        # The lab has mounted no /proc of its own, so that this is its number on the machine.
        own = int(Path("/proc/self").readlink().name)
        return State(
            pid=own,
            own_user=self._order.own_user,
            folders=self._order.folders,
            urls=urls,
            pods=tuple(pods),
            settled=self._is_settled(),
            keys="" if self._order.cluster else str(self._place / files.KEYS),
            plane=self.plane.is_up,
            kubeconfig=self.plane.kubeconfig,
        )

    def _reap(self) -> None:
        reap_orphans(self.kubelet.processes() | self.plane.process_ids())


def behind(lab: Lab, port: Port) -> Target | None:
    """A ready pod of the Service that a forwarded port leads to; None while there is none."""
    for service in lab.plane.services():
        if service.ref == Ref("Service", port.namespace, port.service) and service.spec.selector:
            pods = lab.ready(port.namespace, service.spec.selector.items())
            ports = [one.target_port or one.port for one in service.spec.ports if one.port == port.port]
            if pods and ports and isinstance(ports[0], int):
                return Target(pods[0].plan.address, ports[0])
    return None


def _record(ref: Ref, running: RunningPod) -> PodRecord:
    return PodRecord(
        name=ref.name,
        namespace=ref.namespace,
        address=running.plan.address,
        service_account=str(running.plan.identity["serviceAccount"]),
        ports=running.plan.ports,
        state=running.state.value,
        network=running.network.fd,
        hosts=str(running.hosts),
        sidecar=running.plan.start is not None,
    )


def _working_folder(folders: tuple[str, ...]) -> Path:
    first = Path(folders[0]) if folders else Path.cwd()
    return first if first.is_dir() else first.parent


def _quiet_resolver(place: Path) -> None:
    """Names that no hosts file has fail at once: there is no name server in the lab's network to wait for."""
    file = place / "resolv.conf"
    file.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    if Path("/etc/resolv.conf").exists():
        # Without it names merely fail later.
        mount = ["mount", "--bind", str(file), "/etc/resolv.conf"]
        subprocess.run(mount, check=False, capture_output=True)  # noqa: S603 - a fixed command
