"""Pages of what runs inside a lab, asked from a shell of the machine: an Envoy's admin port, the control plane.

Nothing of a lab listens where the machine could reach it: the question goes in as a process, and the page comes out.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import timedelta

from pilotpy.lab import commands, entry
from pilotpy.lab.state import State

_ADMIN_PORT = 15000
_PLANE_PORT = 8080
_PATIENCE = timedelta(seconds=60)


def full_name(pod: str) -> str:
    """The name under which a pod of the running lab goes: POD.NAMESPACE. Raises NotRunning."""
    found = commands.pod_named(_lab(), pod)
    return f"{found.name}.{found.namespace}"


def envoy_page(pod: str, path: str) -> str:
    """A page of the admin port of a pod's Envoy. Raises NotRunning, and OSError if nobody answers."""
    return _answer(commands.command_in(pod, _question(path, _ADMIN_PORT)))


def plane_page(path: str) -> str:
    """A page of the lab's control plane, which takes us for one of its own. Raises NotRunning and OSError."""
    lab = _lab()
    user = ["--user", "--preserve-credentials"] if lab.own_user else []
    return _answer(["nsenter", "--target", str(lab.pid), *user, "--net", *_question(path, _PLANE_PORT)])


def _lab() -> State:
    lab = commands.status()
    if lab is None:
        raise commands.NotRunning("no lab is running; `pilotpy lab up` starts one")
    return lab


def _question(path: str, port: int) -> list[str]:
    return entry.program("pilotpy", ["agent", "request", "--debug-port", str(port), "GET", path])


def _answer(command: Sequence[str]) -> str:
    try:
        ran = subprocess.run(  # noqa: S603 - our own program
            command, capture_output=True, text=True, check=False, timeout=_PATIENCE.total_seconds()
        )
    except subprocess.TimeoutExpired as late:
        raise OSError(f"no answer within {late.timeout:.0f} s") from None
    if ran.returncode:
        raise OSError(ran.stderr.strip().removeprefix("pilotpy: ") or f"{command[0]} ended with {ran.returncode}")
    return ran.stdout
