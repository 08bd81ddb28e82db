"""``pilotpy ca``: the commands of ``pilotpy-ca``, and where the keys are that they are for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotpy.cli.options import fail
from pilotpy_ca.cli import app as app  # noqa: PLC0414 - it is for others, too
from pilotpy_ca.cli import elsewhere

if TYPE_CHECKING:
    from pilotpy_ca.commands import Answer, Command


@app.callback()
def keys(
    context: typer.Context,
    kubernetes: Annotated[bool, typer.Option("--kubernetes", help="The keys of a cluster, not of a folder.")] = False,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            help="How to log in; else by KUBECONFIG, as the Pod that this is, by ~/.kube/config.", metavar="FILE"
        ),
    ] = None,
    kube_context: Annotated[
        str | None, typer.Option("--context", help="Context of the kubeconfig; else its current one.")
    ] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Where the control plane is.", envvar="POD_NAMESPACE")
    ] = "istio-system",
) -> None:
    """Look after the certificate authority of a mesh."""
    if not kubernetes:
        if kubeconfig is not None or kube_context is not None:
            fail("--kubeconfig and --context are for the keys of a cluster: with --kubernetes", 2)
        return
    if context.invoked_subcommand == "serve":
        fail("the keys of a cluster are served by `pilotpy serve --kubernetes`", 2)
    if kubeconfig is not None and not kubeconfig.is_file():
        fail(f"{kubeconfig}: no such file", 2)

    def ask(command: Command, cacerts: Path | None) -> Answer:
        import asyncio

        from pilotpy.kube import commands
        from pilotpy.sources.kubernetes.connection import default_login
        from pilotpy.sources.kubernetes.trouble import Trouble

        try:
            return asyncio.run(commands.ask(default_login(kubeconfig, kube_context), namespace, command, cacerts))
        except Trouble as trouble:
            fail(str(trouble))

    elsewhere.set(ask)
