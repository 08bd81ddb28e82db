"""A lab of a cluster: `python -m tests.kube.lab ORDER KUBECONFIG NAMESPACE SOCKET`, inside its namespaces.

The command `pilotpy serve --kubernetes` as its control plane, with no other source than an API server; real Envoys for
the Pods of one namespace. SOCKET is the way to the API server, see `passage`.
"""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import yaml

from pilotpy.lab import state
from pilotpy.lab.news import MeshFacts
from pilotpy.lab.process import Process, Program, start
from pilotpy.lab.supervisor import Lab, Order
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Ref, Resource
from pilotpy.ops.logs import log_to
from pilotpy.sources.kubernetes.connection import connected, default_login
from pilotpy.sources.kubernetes.trouble import Refused
from pilotpy.sources.rollout import PodState
from tests.kube.controllers import Controllers
from tests.kube.passage import inwards
from tests.waiting import until

_SERVE = (sys.executable, "-c", "from pilotpy.cli import main; main()", "serve", "--kubernetes")
_QUICK = {"PILOT_DEBOUNCE_AFTER": "5ms", "PILOTPY_ENDPOINT_WINDOW": "5ms"}


class ClusterPlane:
    """Implements `supervisor.Plane` for a cluster."""

    def __init__(self, place: Path, kubeconfig: Path, namespace: str, passage: Path) -> None:
        self._place = place
        self._kubeconfig = kubeconfig
        self._namespace = namespace
        self._passage = passage
        self._host = ""
        self._process: Process | None = None
        self._controllers: Controllers | None = None
        self._running: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def start(self, host: str) -> None:
        """See `Plane.start`; ready: the roots of the mesh are in the namespace."""
        self._host = host
        server = yaml.safe_load(self._kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        await inwards(self._passage, urlsplit(server).port)
        self.revive()
        self._running = asyncio.create_task(self._run())
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait((self._running, ready), return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            await self._running

    async def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        if self._process is not None:
            await self._process.end(timedelta(seconds=2))

    async def changed(self) -> None:
        """Wait for something new, or for the end of the process; raises what ended the controllers."""
        assert self._controllers is not None
        assert self._running is not None
        assert self._process is not None
        news = [asyncio.create_task(self._controllers.changed.wait())]
        if self.is_up:
            news.append(asyncio.create_task(self._process.ended()))
        await asyncio.wait((*news, self._running), return_when=asyncio.FIRST_COMPLETED)
        for one in news:
            one.cancel()
        if self._running.done():
            await self._running
        self._controllers.changed.clear()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def revive(self) -> None:
        addresses = [
            f"--grpc-address={self._host}:15010",
            f"--secure-grpc-address={self._host}:15012",
            "--http-address=:8080",
            "--monitoring-address=:15014",
        ]
        command = (*_SERVE, f"--kubeconfig={self._kubeconfig}", *addresses)
        self._process = start(Program(command, os.environ | _QUICK, Path.cwd(), self._place / state.PLANE_LOG))
        if self._controllers is not None:
            self._controllers.changed.set()

    def process_ids(self) -> frozenset[int]:
        return frozenset((self._process.pid,)) if self._process is not None else frozenset()

    @property
    def is_up(self) -> bool:
        return self._process is not None and self._process.is_running

    @property
    def mesh(self) -> MeshFacts:
        return MeshFacts()

    def wanted(self) -> tuple[Resource[Pod], ...]:
        return self._controllers.wanted() if self._controllers else ()

    def services(self) -> tuple[Resource[KubeService], ...]:
        return tuple(self._controllers.services.values()) if self._controllers else ()

    def observe(self, pod: Ref, what: PodState) -> None:
        assert self._controllers is not None
        self._controllers.observe(pod, what)

    async def _run(self) -> None:
        projected = self._place / state.PROJECTED
        projected.mkdir(exist_ok=True)
        async with connected(default_login(self._kubeconfig)) as connection:
            path = f"/api/v1/namespaces/{self._namespace}/configmaps/istio-ca-root-cert"

            async def published() -> bytes:
                if not self.is_up:
                    raise OSError("the control plane ended")
                return await connection.ask("GET", path)

            found = msgspec.json.decode(await until(published, patience=60, passing=Refused))
            (projected / "root-cert.pem").write_text(found["data"]["root-cert.pem"])
            self._controllers = Controllers(connection, self._namespace, projected)
            self._ready.set()
            await self._controllers.run()


def main() -> None:
    order = msgspec.json.decode(sys.argv[1], type=Order)
    place, (kubeconfig, namespace, passage) = Path(order.place), sys.argv[2:]
    with (place / state.AGENTS_LOG).open("w") as log:
        log_to(log, as_json=False)
        asyncio.run(Lab(order, ClusterPlane(place, Path(kubeconfig), namespace, Path(passage))).run())


if __name__ == "__main__":
    main()
