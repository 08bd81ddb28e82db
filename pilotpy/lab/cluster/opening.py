"""Before a lab acts on an API server: it must answer, be nobody else's, and have what a control plane needs."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from pilotpy.lab.cluster import node
from pilotpy.lab.cluster.api_server import kubeconfig
from pilotpy.lab.cluster.caution import Inhabited, inhabitants, refusal
from pilotpy.lab.cluster.installed import ACCOUNT, control_plane_objects, has_account, own_definitions
from pilotpy.lab.cluster.manifests import Manifests
from pilotpy.lab.cluster.objects import Object
from pilotpy.lab.cluster.tokens import Tokens, Wanted
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.trouble import Refused, Trouble, Unusable

_LOOK_AGAIN: Final = 0.1  # seconds
_BEATS: Final = 1.5  # of a node that is alive, in which it must be heard
_DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_CONFLICT: Final = 409


async def answering(connection: Connection, patience: timedelta) -> None:
    """Wait until the API server is ready. Raises OSError."""
    last: Trouble | None = None
    with suppress(TimeoutError):
        async with asyncio.timeout(patience.total_seconds()):
            while True:
                try:
                    await connection.ask("GET", "/readyz")
                except Unusable as nothing:
                    raise OSError(str(nothing)) from None
                except Trouble as trouble:
                    last = trouble
                    await asyncio.sleep(_LOOK_AGAIN)
                else:
                    return
    raise OSError(f"the API server is not ready: {last}")


async def beware(connection: Connection) -> None:
    """Look whether anybody lives in the cluster. Raises Inhabited, Trouble."""
    leases = await _items(connection, "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases")
    nodes, pods = await _items(connection, "/api/v1/nodes"), await _items(connection, "/api/v1/pods")
    found = list(inhabitants(nodes, leases, pods))
    if not found and await _beats(connection):
        found = ["another lab, whose node is alive"]
    if found:
        raise Inhabited(refusal(found))


async def define(connection: Connection) -> None:
    """Install the kinds of a mesh that the cluster does not have. Raises Trouble."""
    for one in own_definitions():
        try:
            await connection.ask("POST", _DEFINITIONS, one)
        except Refused as refused:
            if refused.status != _CONFLICT:  # else the cluster has it
                raise


async def admit(manifests: Manifests) -> bool:
    """Make room for a control plane. Returns whether it has an account of its own. Raises Trouble."""
    objects = control_plane_objects()
    await manifests.apply(objects)
    return has_account(objects)


async def logged_in(tokens: Tokens, configuration: Any, folder: Path) -> tuple[Wanted, Path]:
    """A token of the control plane's account, and the kubeconfig that uses it. Raises Trouble, OSError."""
    wanted = Wanted(ACCOUNT, folder / "control-plane.token")
    await tokens.fetch(wanted)
    cluster: Object = {"server": configuration.host}
    if configuration.ssl_ca_cert:
        cluster["certificate-authority"] = configuration.ssl_ca_cert
    if not configuration.verify_ssl:
        cluster["insecure-skip-tls-verify"] = True
    if configuration.tls_server_name:
        cluster["tls-server-name"] = configuration.tls_server_name
    return wanted, kubeconfig(folder / "control-plane.kubeconfig", cluster, {"tokenFile": str(wanted.file)})


async def _beats(connection: Connection) -> bool:
    """Whether the Lease of a lab's node is renewed while one looks; at once if there is none, or the lab has left."""
    first = await node.renewal(connection)
    if not first:
        return False
    until = asyncio.get_running_loop().time() + _BEATS * node.BEAT.total_seconds()
    while asyncio.get_running_loop().time() < until:
        await asyncio.sleep(_LOOK_AGAIN)
        if await node.renewal(connection) != first:
            return True
    return False


async def _items(connection: Connection, path: str) -> list[Object]:
    return list(msgspec.json.decode(await connection.ask("GET", path)).get("items") or ())
