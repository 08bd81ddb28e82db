"""The way between a lab and an API server on the other side: a lab shares no network with its machine, but sockets.

Outwards (`python -m pilotpy.lab.cluster.way SOCKET LIFE HOST PORT`, both descriptors): a process on the machine takes
what comes over a socket with a path to an API server, until nobody holds the other end of LIFE. Inwards: the API
server's very address is the lab's own, so that the same kubeconfig is good on both sides.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import msgspec

from pilotpy.lab import entry
from pilotpy.lab.forward import pump
from pilotpy.lab.network import adopt

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Way(msgspec.Struct, frozen=True):
    """Where an API server is."""

    path: str  # of the socket that leads there
    host: str  # as a kubeconfig calls it
    address: str
    port: int


class Opened(NamedTuple):
    """A way, and what holds it open."""

    way: Way
    life: int  # descriptor


def open_way(path: Path, host: str, port: int) -> Opened:
    """Start the process outside. Raises OSError where the host has no address."""
    *_, found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    path.unlink(missing_ok=True)
    reading, life = os.pipe()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        keep = (listening.fileno(), reading)
        command = entry.program(__name__, [str(keep[0]), str(keep[1]), host, str(port)])
        # Not our child: who asks for a lab may end while the lab lives on.
        forked = ["setsid", "--fork", *command]
        subprocess.run(forked, pass_fds=keep, stdin=subprocess.DEVNULL, check=True)  # noqa: S603 - our own program
    os.close(reading)
    return Opened(Way(str(path), host, str(found[0]), port), life)


async def inwards(way: Way) -> asyncio.Server:
    """Listen on the API server's address, in the lab, and have its name lead there. Raises OSError."""
    if not ip_address(way.address).is_loopback:
        adopt(way.address)
    if way.host not in {way.address, "localhost"}:
        _name(way)
    connect = partial(asyncio.open_unix_connection, way.path)
    return await asyncio.start_server(partial(_passed, connect), way.address, way.port)


def _name(way: Way) -> None:
    hosts = Path(way.path).with_name("api-server.hosts")
    hosts.write_text(f"{Path('/etc/hosts').read_text()}\n{way.address} {way.host}\n")
    bound = ["mount", "--bind", str(hosts), "/etc/hosts"]
    subprocess.run(bound, check=True, capture_output=True)  # noqa: S603 - a fixed command


async def _passed(
    connect: Callable[[], Awaitable[Ends]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        there, back = await connect()
    except OSError:
        writer.close()
        return
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(pump(reader, back))
            both.create_task(pump(there, writer))
    except asyncio.CancelledError:
        pass  # the loop ends, and with it the way: asyncio's streams (before 3.12) would tell that as a fault
    finally:
        back.close()
        writer.close()


async def _outwards(listening: socket.socket, life: int, host: str, port: int) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(life, ended.set)
    connect = partial(asyncio.open_connection, host, port)
    async with await asyncio.start_unix_server(partial(_passed, connect), sock=listening):
        await ended.wait()
        os._exit(0)  # what is under way has lost its other end already


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_outwards(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
