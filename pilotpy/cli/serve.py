"""``pilotpy serve``: the control plane of a folder, until interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotpy.cli.options import MeshConfigFile, MeshNetworksFile, fail, paths_of

if TYPE_CHECKING:
    from pilotpy.ops.settings import Settings
    from pilotpy.sources.folder import Folder


def serve(
    folders: Annotated[
        list[Path], typer.Option("--dir", help="File or folder to read and to watch; may be repeated.", metavar="PATH")
    ],
    mesh_config: MeshConfigFile = None,
    mesh_networks: MeshNetworksFile = None,
    grpc_address: Annotated[str, typer.Option("--grpc-address", "--grpcAddr", help="Where to serve ADS.")] = ":15010",
    http_address: Annotated[
        str, typer.Option("--http-address", "--httpAddr", help="Where to answer /ready and /debug; empty: nowhere.")
    ] = ":8080",
    monitoring_address: Annotated[
        str, typer.Option("--monitoring-address", "--monitoringAddr", help="Where to show metrics; empty: nowhere.")
    ] = ":15014",
    log_as_json: Annotated[bool, typer.Option("--log-as-json", "--log_as_json", help="Log JSON lines.")] = False,
) -> None:
    """Serve ADS to Envoys from folders of YAML, and follow their edits."""
    import asyncio
    import os
    import sys

    from pilotpy.ops.logs import log_to
    from pilotpy.ops.settings import Settings, Wrong
    from pilotpy.sources.folder import Folder

    log_to(sys.stderr, as_json=log_as_json)
    paths_of(folders, None)
    try:
        settings = Settings.of(os.environ)._replace(
            grpc_address=grpc_address, http_address=http_address, monitoring_address=monitoring_address
        )
        asyncio.run(_serve(Folder(folders, mesh_config=mesh_config, mesh_networks=mesh_networks), settings))
    except (OSError, Wrong) as error:
        fail(str(error))


async def _serve(folder: Folder, settings: Settings) -> None:
    import asyncio
    import signal

    from pilotpy.follow import following

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with following(folder, settings) as server:
        print(f"serving ADS on {server.address}")
        await stop.wait()
