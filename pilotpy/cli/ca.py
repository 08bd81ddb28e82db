"""``pilotpy ca``: the commands of ``pilotpy-ca``, for keys in a folder as there, or for those of a cluster."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from pilotpy.cli.options import Kubeconfig, KubeContext, fail
from pilotpy_ca import cli

if TYPE_CHECKING:
    from pilotpy_ca.commands import Answer, Command


def in_cluster(
    kubernetes: Annotated[bool, typer.Option("--kubernetes", help="The keys of a cluster, not of a folder.")] = False,
    kubeconfig: Kubeconfig = None,
    context: KubeContext = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Where the control plane is.", envvar="POD_NAMESPACE")
    ] = "istio-system",
) -> None:
    """Ask the keys of a cluster from now on, if that is what these options say."""
    if not kubernetes:
        if kubeconfig is not None or context is not None:
            fail("--kubeconfig and --context are for the keys of a cluster: with --kubernetes", 2)
        return
    if kubeconfig is not None and not kubeconfig.is_file():
        fail(f"{kubeconfig}: no such file", 2)

    def ask(command: Command, cacerts: Path | None) -> Answer:
        import asyncio

        from pilotpy.kube import commands
        from pilotpy.sources.kubernetes.login import default_login
        from pilotpy.sources.kubernetes.trouble import Trouble

        try:
            return asyncio.run(commands.ask(default_login(kubeconfig, context), namespace, command, cacerts))
        except Trouble as trouble:
            fail(str(trouble))

    cli.elsewhere.set(ask)


def _of_either(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes the options of `in_cluster` as well."""
    own, more = _parameters(command), _parameters(in_cluster)

    @functools.wraps(command)
    def of_either(**said: Any) -> None:
        in_cluster(**{one.name: said.pop(one.name) for one in more})
        command(**said)

    of_either.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]  # inspect looks for it
    of_either.__annotations__ = {one.name: one.annotation for one in (*own, *more)}
    return of_either


def _parameters(command: Callable[..., None]) -> list[inspect.Parameter]:
    """What a command takes, with its annotations read."""
    hints = get_type_hints(command, include_extras=True)
    return [one.replace(annotation=hints[name]) for name, one in inspect.signature(command).parameters.items()]


app = typer.Typer(name="ca", help=cli.app.info.help, no_args_is_help=True, pretty_exceptions_enable=False)
for _command in (cli.show, cli.rotate, cli.revoke, cli.issue, cli.export):
    app.command()(_of_either(_command))
app.command()(cli.serve)
