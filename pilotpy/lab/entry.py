"""Into namespaces of one's own, as root or as an ordinary user; or a sentence that says what forbids it.

The process becomes ``unshare``, whose child is the first process of the lab. When that child ends, the kernel ends all
processes of the lab, and with them go its networks, rules and mounts; when ``unshare`` ends, so does its child.

Source  unshare(1), user_namespaces(7), pid_namespaces(7).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pilotpy.agent.capture import SYSTEM_PATH
from pilotpy.lab.state import State

_NAMESPACES = ("--mount", "--propagation", "private", "--net", "--pid", "--fork", "--kill-child")
_AS_USER = ("--user", "--map-root-user")
_PROGRAMS = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2", "iptables-restore": "iptables"}

# Besides its hosts file a shell wants to see the lab's processes; not every machine lets it.
_SETTLE = 'mount --bind "$0" /etc/hosts && { mount -t proc proc /proc 2>/dev/null || true; } && exec "$@"'

# Settings of the kernel that forbid namespaces to ordinary users: file, value that forbids, what to do.
_SWITCHES = (
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)


class Forbidden(Exception):
    """This machine does not let this user make namespaces, or lacks a program; says what to do."""


def way_in() -> Sequence[str]:
    """The command, to be put before another, that runs it in new namespaces. Raises Forbidden."""
    missing = sorted({package for name, package in _PROGRAMS.items() if not shutil.which(name, path=SYSTEM_PATH)})
    if missing:
        raise Forbidden(f"please install these packages first: {' '.join(missing)}")
    ways = [("unshare", *_NAMESPACES), ("unshare", *_AS_USER, *_NAMESPACES)]
    said = ""
    for way in ways if os.geteuid() == 0 else ways[1:]:
        # The whole of what a lab needs first: a network in which an interface can be made.
        tried = subprocess.run(  # noqa: S603 - fixed commands
            [*way, "ip", "link", "add", "br0", "type", "bridge"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": SYSTEM_PATH},
        )
        if tried.returncode == 0:
            return way
        said = tried.stderr.strip()
    raise Forbidden(f"this machine lets you make no network of your own ({said}). {_advice()}")


def is_own_user(way: Sequence[str]) -> bool:
    """Whether a way in leads through a user namespace."""
    return _AS_USER[0] in way


def enter(way: Sequence[str], module: str, arguments: Sequence[str], keep: Iterable[int]) -> None:
    """Become a Python program in new namespaces; does not return. ``keep``: descriptors that it inherits."""
    command = [*way, *program(module, arguments)]
    for descriptor in keep:
        os.set_inheritable(descriptor, True)
    os.environ["PATH"] = SYSTEM_PATH
    sys.stdout.flush()
    os.execvp(command[0], command)  # noqa: S606 - that is what it is for


def program(module: str, arguments: Sequence[str]) -> list[str]:
    """The command that runs a module of ours with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def inside(state: State, pod_network: int, hosts: str) -> list[str]:
    """The command, to be put before another, that runs it in a pod of a running lab."""
    return [
        *("nsenter", "--target", str(state.pid), "--mount", "--pid"),
        *(["--user", "--preserve-credentials"] if state.own_user else []),
        f"--net=/proc/{state.pid}/fd/{pod_network}",
        *("unshare", "--mount", "--propagation", "private"),
        *("sh", "-c", _SETTLE, hosts),
    ]


def _advice() -> str:
    for file, forbidding, remedy in _SWITCHES:
        path = Path(file)
        if path.exists() and path.read_text().strip() == forbidding:
            return f"Run it as root, or let users do so: {remedy}"
    return (
        "Run it as root. In a container, its runtime must allow it as well: CAP_SYS_ADMIN and CAP_NET_ADMIN, or a "
        "seccomp profile that lets unshare(2) pass"
    )
