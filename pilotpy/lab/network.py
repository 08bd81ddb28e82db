"""Network namespaces without names, and the switch that joins them.

A namespace lives as long as somebody holds it open: when the process that made it is gone, so are the namespace, its
interfaces and its rules. Nothing is mounted, nothing is left behind. A thread steps into one for a few system calls;
sockets and programs made there belong to it for good. The switch is a bridge in the namespace of the lab itself.

Source  namespaces(7), setns(2), veth(4).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Self

from pilotpy.agent.capture import SYSTEM_PATH

GATEWAY = "10.44.0.1"
"""The lab's own address on the switch: the control plane listens there."""

_BRIDGE = "br0"
_CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


class Network:
    """One network namespace, held open."""

    def __init__(self, fd: int) -> None:
        self.fd = fd  # of the namespace; other processes find it as /proc/PID/fd/FD

    @classmethod
    def new(cls) -> Self:
        """A network with nothing in it but loopback, which is down. Raises OSError where that is not allowed."""
        home = os.open(_OWN, os.O_RDONLY)
        try:
            _checked(_libc.unshare(_CLONE_NEWNET))
            try:
                return cls(os.open(_OWN, os.O_RDONLY))
            finally:
                _checked(_libc.setns(home, _CLONE_NEWNET))
        finally:
            os.close(home)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Have the calling thread in this network. Nothing may be awaited in there."""
        home = os.open(_OWN, os.O_RDONLY)
        try:
            _checked(_libc.setns(self.fd, _CLONE_NEWNET))
            try:
                yield
            finally:
                _checked(_libc.setns(home, _CLONE_NEWNET))
        finally:
            os.close(home)

    def close(self) -> None:
        """Let go of it. It ends with the last process that runs in it."""
        os.close(self.fd)


def raise_switch() -> None:
    """Make the switch in the calling thread's network. Every address is behind it."""
    _ip(
        [
            "link set lo up",
            f"link add {_BRIDGE} type bridge",
            f"addr add {GATEWAY}/16 dev {_BRIDGE}",
            f"link set {_BRIDGE} up",
            f"route add default dev {_BRIDGE}",
        ]
    )


def plug(network: Network, port: str, address: str) -> None:
    """Join ``network`` to the switch of the calling thread's network, as ``address``; ``port``: a name for its end."""
    home = os.open(_OWN, os.O_RDONLY)
    try:
        with network.inside():
            _ip(
                [
                    "link set lo up",
                    f"link add eth0 address {_hardware(address)} type veth peer name {port} netns /proc/self/fd/{home}",
                    f"addr add {address}/32 dev eth0",
                    "link set eth0 up",
                    # A connection to an address that exists nowhere must find a route before rules can catch it.
                    "route add default dev eth0",
                ],
                keep=(home,),
            )
        _ip([f"link set {port} master {_BRIDGE} up"])
    finally:
        os.close(home)


def unplug(port: str) -> None:
    """Take a pod from the switch: a network goes some time after it was closed, and another may have its address.

    Raises OSError if it is not on it.
    """
    _ip([f"link del {port}"])


def _hardware(address: str) -> str:
    """The hardware address of a pod, by its own: neighbours of the pod that had it before remember nothing wrong."""
    return ":".join(["02", "00", *(f"{octet:02x}" for octet in ip_address(address).packed[-4:])])


def adopt(address: str) -> None:
    """Have an address in the calling thread's network, as one of its own. Raises OSError."""
    _ip([f"addr add {address}/{128 if ':' in address else 32} dev lo"])


def _ip(commands: Sequence[str], keep: tuple[int, ...] = ()) -> None:
    """Run the commands in one go. Raises OSError with the program's own words."""
    batch = (shutil.which("ip", path=SYSTEM_PATH) or "ip", "-batch", "-")
    ran = subprocess.run(  # noqa: S603 - the commands are ours
        batch, input="\n".join(commands), text=True, check=False, capture_output=True, pass_fds=keep
    )
    if ran.returncode:
        raise OSError(f"ip: {ran.stderr.strip()}")


def _checked(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
