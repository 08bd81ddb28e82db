"""What people do with a lab from a shell: bring it up, look at it, run something in a pod, take it down."""

from __future__ import annotations

import importlib.util
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pilotpy.agent.capture import SYSTEM_PATH
from pilotpy.lab import entry, state
from pilotpy.lab.running_pod import envoy_program
from pilotpy.lab.state import PodRecord, State
from pilotpy.lab.supervisor import KILL_PLANE, REVIVE_PLANE, Order, Port

if TYPE_CHECKING:
    from pilotpy.lab.cluster.reach import Reach

_HOST = "127.0.0.1"
_LOOK_AGAIN = 0.05  # seconds


class NotRunning(Exception):
    """There is no lab, or not such a pod in it; says which."""


class Publish(NamedTuple):
    """A port of the machine for a port of a Service: "8080:productpage.default:9080"."""

    number: int  # on the machine; 0: whichever is free
    service: str
    namespace: str
    port: int

    @classmethod
    def of(cls, text: str) -> Publish:
        """From "[NUMBER:]SERVICE[.NAMESPACE]:PORT". Raises ValueError with a sentence."""
        number, _, rest = text.partition(":") if text.count(":") == 2 else ("0", "", text)
        name, _, port = rest.partition(":")
        service, _, namespace = name.partition(".")
        if not (number.isdigit() and service and port.isdigit()):
            raise ValueError(f"{text!r} is not of the form [NUMBER:]SERVICE[.NAMESPACE]:PORT")
        return cls(int(number), service, namespace or "default", int(port))


def up(
    folders: Sequence[Path],
    publish: Sequence[Publish] = (),
    *,
    reach: Reach | None = None,
    module: str = "pilotpy.lab",
    arguments: Sequence[str] = (),
) -> None:
    """Bring a lab up in this terminal, which becomes it; does not return. ``module``: what is run inside.

    ``reach``: the API server that says what runs; None: the folders do. Raises Taken, Forbidden, FileNotFoundError,
    OSError, and what ``reach`` raises, each with a sentence.
    """
    order, way, keep = _prepared(folders, publish, reach)
    entry.enter(way, module, [_text(order), *arguments], keep)


def up_detached(
    folders: Sequence[Path],
    publish: Sequence[Publish] = (),
    patience: timedelta = timedelta(seconds=120),
    reach: Reach | None = None,
) -> State:
    """Bring a lab up and leave it running. Returns it once all its pods are ready.

    Raises as ``up``, and TimeoutError.
    """
    order, way, keep = _prepared(folders, publish, reach)
    log = Path(order.place) / state.LOG
    with log.open("wb") as output:
        # Not our child: it lives on when this process ends.
        subprocess.run(  # noqa: S603 - our own program
            ["setsid", "--fork", *way, *entry.program("pilotpy.lab", [_text(order)])],  # noqa: S607 - of util-linux
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=keep,
            check=True,
            env={**os.environ, "PATH": SYSTEM_PATH},
        )
    for descriptor in keep:
        os.close(descriptor)
    until = time.monotonic() + patience.total_seconds()
    while time.monotonic() < until:
        found = status()
        if found is not None and found.settled:
            return found
        if found is None and not state.is_held(Path(order.place)):
            raise OSError(f"the lab ended: {log.read_text().strip().removeprefix('pilotpy: ')}")
        time.sleep(_LOOK_AGAIN)
    down()
    raise TimeoutError(f"not all pods became ready; the last words were: {log.read_text()[-2000:]}")


def status() -> State | None:
    """The running lab of this user; None: there is none."""
    return state.read(state.folder())


def down(patience: timedelta = timedelta(seconds=15)) -> bool:
    """End the lab of this user, in order; insist after ``patience``. Returns whether there was one."""
    found = status()
    if found is None:
        return False
    watched = os.pidfd_open(found.pid)
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(watched, number)
            if _ended(watched, patience):
                break
    finally:
        os.close(watched)
    place = state.folder()
    until = time.monotonic() + patience.total_seconds()
    while state.is_held(place) and time.monotonic() < until:  # by the last process of it
        time.sleep(_LOOK_AGAIN)
    state.read(place)  # removes what a killed lab left
    return True


def plane(*, up: bool, patience: timedelta = timedelta(seconds=15)) -> None:
    """Kill the control plane of the lab, or have it come back. Raises NotRunning, TimeoutError."""
    lab = _running()
    os.kill(lab.pid, REVIVE_PLANE if up else KILL_PLANE)
    until = time.monotonic() + patience.total_seconds()
    while _running().plane is not up:
        if time.monotonic() > until:
            raise TimeoutError(f"the control plane is not {'up' if up else 'down'} yet")
        time.sleep(_LOOK_AGAIN)


def command_in(pod: str, command: Sequence[str]) -> list[str]:
    """The command that runs ``command`` in a pod, named as people do. Raises NotRunning."""
    lab = _running()
    found = pod_named(lab, pod)
    return [*entry.inside(lab, found.network, found.hosts), *command]


def run_in(pod: str, command: Sequence[str]) -> None:
    """Become ``command`` in a pod; does not return. Raises NotRunning and OSError."""
    line = command_in(pod, command)
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{SYSTEM_PATH}"
    sys.stdout.flush()
    os.execvp(line[0], line)  # noqa: S606 - that is what it is for


def curl_in(pod: str, arguments: Sequence[str]) -> None:
    """Become curl in a pod; does not return. Raises NotRunning and OSError."""
    if shutil.which("curl", path=SYSTEM_PATH) is None:
        raise FileNotFoundError("please install this package first: curl")
    run_in(pod, ["curl", "--no-progress-meter", *arguments])


def pod_named(lab: State, text: str) -> PodRecord:
    """The pod called NAME, NAME.NAMESPACE, or the first whose name begins with WORKLOAD-. Raises NotRunning."""
    name, _, namespace = text.partition(".")
    here = [pod for pod in lab.pods if not namespace or pod.namespace == namespace]
    exact = [pod for pod in here if pod.name == name]
    by_prefix = [pod for pod in here if pod.name.startswith(f"{name}-")]
    for found in exact or sorted(by_prefix, key=lambda pod: pod.state != "ready"):
        return found
    there = ", ".join(f"{pod.name}.{pod.namespace}" for pod in lab.pods) or "none"
    raise NotRunning(f"no pod {text}; there are: {there}")


def _running() -> State:
    lab = status()
    if lab is None:
        raise NotRunning("no lab is running; `pilotpy lab up` starts one")
    return lab


def _prepared(
    folders: Sequence[Path], publish: Sequence[Publish], reach: Reach | None
) -> tuple[Order, Sequence[str], tuple[int, ...]]:
    for folder in folders:
        if not folder.exists():
            raise FileNotFoundError(f"there is no {folder}")
    way = entry.way_in()
    place = state.folder()
    held = state.lock(place)
    state.clean(place)
    envoy = envoy_program()
    ports = tuple(_listening(one) for one in publish)
    reached = reach(place) if reach else None
    order = Order(
        place=str(place),
        folders=tuple(str(folder.resolve()) for folder in folders),
        own_user=entry.is_own_user(way),
        envoy=envoy,
        packages=_packages(),
        ports=ports,
        cluster=reached.order if reached else None,
    )
    return order, way, (held, envoy, *(port.descriptor for port in ports), *(reached.keep if reached else ()))


def _listening(wanted: Publish) -> Port:
    opened = socket.create_server((_HOST, wanted.number), backlog=256)
    number = opened.getsockname()[1]
    return Port(
        descriptor=opened.detach(),
        url=f"http://{_HOST}:{number}/",
        namespace=wanted.namespace,
        service=wanted.service,
        port=wanted.port,
    )


def _packages() -> str:
    found = importlib.util.find_spec("h2")
    return str(Path(found.origin).parents[1]) if found and found.origin else ""


def _text(order: Order) -> str:
    return msgspec.json.encode(order).decode()


def _ended(watched: int, patience: timedelta) -> bool:
    return bool(select.select([watched], [], [], patience.total_seconds())[0])
