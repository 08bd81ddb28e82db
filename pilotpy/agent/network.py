"""Sockets in the network of one pod: this process' own, or another one that its threads may step into.

A socket belongs for good to the network that it was made in, so a process may be the agent of many pods.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from pilotpy.agent.bootstrap import SO_MARK

_BACKLOG = 128
_libc = ctypes.CDLL(None)
# A thread of its own: with another user a thread forgets that it is to end with its parent, see prctl(2).
_opener = ThreadPoolExecutor(1, "sockets")


class PodNetwork(NamedTuple):
    """Where sockets are made. All methods raise OSError."""

    inside: Callable[[], AbstractContextManager[None]] = nullcontext  # has the calling thread in it
    mark: int = 0  # put on what is sent, where rules tell the agent's packets by that and not by their user; 0: none
    user: int | None = None  # that sockets belong to, where rules tell packets by it; None: who this process runs as

    def listener(self, host: str, port: int) -> socket.socket:
        """Takes TCP connections on an address; port 0 takes a free one."""
        made = self._socket(host, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((host, port))
            made.listen(_BACKLOG)
        except OSError:
            made.close()
            raise
        return made

    def datagrams(self, host: str, port: int) -> socket.socket:
        """Takes UDP datagrams on an address."""
        made = self._socket(host, socket.SOCK_DGRAM)
        try:
            made.bind((host, port))
        except OSError:
            made.close()
            raise
        return made

    async def connected(self, host: str, port: int, *, source: str = "", udp: bool = False) -> socket.socket:
        """A connection to an address (no name), from ``source`` if given. The caller bounds the time it may take."""
        made = self._socket(host, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        try:
            if source:
                made.bind((source, 0))
            await asyncio.get_running_loop().sock_connect(made, (host, port))
        except BaseException:
            made.close()
            raise
        return made

    def _socket(self, host: str, kind: socket.SocketKind) -> socket.socket:
        try:
            family = socket.AF_INET6 if isinstance(ip_address(host), IPv6Address) else socket.AF_INET
        except ValueError as name:
            raise OSError(str(name)) from name
        made = self._opened(family, kind) if self.user is None else _opener.submit(self._opened, family, kind).result()
        try:
            made.setblocking(False)
            if self.mark:
                made.setsockopt(SO_MARK["level"], SO_MARK["name"], self.mark)
        except OSError:
            made.close()
            raise
        return made

    def _opened(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        with self.inside(), _as_user(self.user):
            return socket.socket(family, kind)


@contextmanager
def _as_user(user: int | None) -> Iterator[None]:
    """Have what the calling thread opens belong to a user: rules of netfilter ask for the opener, not for the owner."""
    if user is None:
        yield
        return
    _libc.setfsuid(user)
    try:
        yield
    finally:
        _libc.setfsuid(os.geteuid())
