"""From what somebody asks for to an API server that a lab can reach, before the lab has a network of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from pilotpy.lab.cluster import assets
from pilotpy.lab.cluster.api_server import HOST
from pilotpy.lab.cluster.order import ClusterOrder, OwnServer
from pilotpy.lab.cluster.way import open_way
from pilotpy.sources.kubernetes.login import default_login
from pilotpy.sources.kubernetes.trouble import Trouble

_HTTPS = 443


class Reached(NamedTuple):
    """The order for the lab, and descriptors that it inherits."""

    order: ClusterOrder
    keep: tuple[int, ...]


Reach = Callable[[Path], Reached]
"""Is given the folder of the lab's files. Raises OSError."""


def own_server(_: Path) -> Reached:
    """An API server of the lab's own, behind a free port of the machine."""
    programs = assets.folder()
    door = socket.create_server((HOST, 0), backlog=256)
    own = OwnServer(str(programs), door.fileno(), door.getsockname()[1])
    return Reached(ClusterOrder(own=own), (door.detach(),))


def somebodys(kubeconfig: Path | None, context: str, *, unguarded: bool) -> Reach:
    """The API server that a kubeconfig names; None: that kubectl would take."""

    def reach(place: Path) -> Reached:
        try:
            url = urlsplit(asyncio.run(_server(kubeconfig, context)))
        except Trouble as trouble:
            raise OSError(str(trouble)) from None
        if not url.hostname:
            raise OSError(f"the kubeconfig names no server: {url.geturl()!r}")
        way, life = open_way(place / "api-server.socket", url.hostname, url.port or _HTTPS)
        named = str(kubeconfig.resolve()) if kubeconfig else ""
        return Reached(ClusterOrder(named, context, way=way, unguarded=unguarded), (life,))

    return reach


async def _server(kubeconfig: Path | None, context: str) -> str:
    configuration = await default_login(kubeconfig, context or None)()
    if configuration.proxy:
        raise OSError("a lab reaches an API server directly, and this kubeconfig names a proxy")
    return str(configuration.host)
