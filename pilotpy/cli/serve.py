"""``pilotpy serve``: the control plane of folders and a cluster, until interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotpy.cli.options import Kubeconfig, KubeContext, MeshConfigFile, MeshNetworksFile, fail, paths_of
from pilotpy_ca.cli import default_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from pilotpy.authority.keeping import Keeping
    from pilotpy.ops.metrics import Metrics
    from pilotpy.ops.settings import Settings
    from pilotpy.sources.kubernetes.connection import Connection
    from pilotpy.sources.kubernetes.login import Login
    from pilotpy.sources.together import Together

    Sources = Callable[[Metrics], AbstractAsyncContextManager[Together]]


def serve(
    ca_dir: Annotated[
        Path,
        typer.Option(
            help="Folder of the keys, made if there is none; those of a cluster are in its Secret istio-ca-secret.",
            metavar="DIR",
            default_factory=default_folder,
        ),
    ],
    folders: Annotated[
        list[Path] | None,
        typer.Option("--dir", help="File or folder to read and to watch; may be repeated.", metavar="PATH"),
    ] = None,
    kubernetes: Annotated[bool, typer.Option("--kubernetes", help="Watch a cluster.")] = False,
    kubeconfig: Kubeconfig = None,
    context: KubeContext = None,
    mesh_config: MeshConfigFile = None,
    mesh_networks: MeshNetworksFile = None,
    grpc_address: Annotated[
        str, typer.Option("--grpc-address", "--grpcAddr", help="Where to serve ADS in plaintext; empty: nowhere.")
    ] = ":15010",
    secure_grpc_address: Annotated[
        str,
        typer.Option(
            "--secure-grpc-address",
            "--secureGRPCAddr",
            help="Where to serve ADS and certificates over TLS; empty: nowhere.",
        ),
    ] = ":15012",
    http_address: Annotated[
        str, typer.Option("--http-address", "--httpAddr", help="Where to answer /ready and /debug; empty: nowhere.")
    ] = ":8080",
    monitoring_address: Annotated[
        str, typer.Option("--monitoring-address", "--monitoringAddr", help="Where to show metrics; empty: nowhere.")
    ] = ":15014",
    ca: Annotated[bool, typer.Option(help="Give workloads certificates, and let them prove who they are.")] = True,
    cacerts: Annotated[
        Path | None,
        typer.Option(
            help="Folder with a signer of your own, as in Secret cacerts, which is read in a cluster.", metavar="DIR"
        ),
    ] = None,
    token_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where to write root-cert.pem, and a token for each Pod as NAMESPACE/POD/istio-token.", metavar="DIR"
        ),
    ] = None,
    clock_speed: Annotated[
        float, typer.Option(help="How much faster keys and certificates age: their lives are divided by it.")
    ] = 1.0,
    log_as_json: Annotated[bool, typer.Option("--log-as-json", "--log_as_json", help="Log JSON lines.")] = False,
) -> None:
    """Serve ADS to Envoys from a cluster, from folders of YAML, or both, and follow their changes."""
    import asyncio
    import os
    import sys
    from functools import partial

    from pilotpy.authority.keeping import Keys
    from pilotpy.authority.terms import terms_of
    from pilotpy.gather import gathered
    from pilotpy.ops.logs import log_to
    from pilotpy.ops.settings import Settings, Wrong
    from pilotpy.sources.folder import Folder
    from pilotpy.sources.kubernetes.trouble import Unusable
    from pilotpy_ca.errors import CaError

    log_to(sys.stderr, as_json=log_as_json)
    if folders:
        paths_of(folders, None)
    elif not kubernetes:
        fail("name a folder with --dir PATH, a cluster with --kubernetes, or both", 2)
    if kubeconfig is not None and not kubeconfig.is_file():
        fail(f"{kubeconfig}: no such file", 2)
    folder = Folder(folders or (), mesh_config=mesh_config, mesh_networks=mesh_networks)
    try:
        settings = Settings.of(os.environ)._replace(
            grpc_address=grpc_address,
            secure_grpc_address=secure_grpc_address,
            http_address=http_address,
            monitoring_address=monitoring_address,
        )
        terms = terms_of(os.environ, speed=clock_speed)
        projected = token_dir or ca_dir.parent / "tokens"
        login: Login | None = None
        servers: dict[str, Connection] = {}
        keys: Keeping | None = Keys(ca_dir, terms, cacerts, projected, clock_speed) if ca else None
        if kubernetes:
            from pilotpy.kube.csr_signer import signer_of
            from pilotpy.kube.keys import ClusterKeys
            from pilotpy.sources.kubernetes.login import default_login

            if token_dir is not None:
                fail("--token-dir is for folders: the Pods of a cluster have tokens of its own", 2)
            login = default_login(kubeconfig, context)
            keys = ClusterKeys(login, terms, cacerts, signer=signer_of(os.environ), elsewhere=servers) if ca else None
        sources = partial(gathered, folder, login, settings, servers=servers)
        where = f"; roots and tokens are in {projected}" if isinstance(keys, Keys) else ""
        asyncio.run(_serve(sources, settings, keys, where))
    except (CaError, OSError, Unusable, Wrong) as error:
        fail(str(error))


async def _serve(sources: Sources, settings: Settings, keys: Keeping | None, where: str) -> None:
    import asyncio
    import signal
    from contextlib import suppress

    from pilotpy.follow import following
    from pilotpy.ops.garbage import keep_all, look_seldom
    from pilotpy.ops.instruments import instruments

    look_seldom()
    task, watched_with = asyncio.current_task(), instruments()
    assert task is not None, "this runs in one"
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        async with (
            sources(watched_with.metrics) as source,
            following(source, settings, keys, watched_with) as server,
        ):
            keep_all()
            if server.address:
                print(f"serving ADS on {server.address}")
            if server.secure_address and keys is not None:
                print(f"serving ADS and certificates on {server.secure_address}{where}")
            await asyncio.Event().wait()
