"""``pilotpy lab``: a mesh of real Envoys on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotpy.cli.options import Files, MorePaths, fail, paths_of

if TYPE_CHECKING:
    from pilotpy.lab.cluster.reach import Reach

app = typer.Typer(help="A mesh of real Envoys on this machine, no cluster needed.", no_args_is_help=True)

Pod = Annotated[str, typer.Argument(help="A pod or workload of the lab.", metavar="POD[.NAMESPACE]")]
Publish = Annotated[
    list[str] | None,
    typer.Option(help="A port of this machine for a Service.", metavar="[PORT:]SERVICE[.NAMESPACE]:PORT"),
]
ApiServer = Annotated[
    bool, typer.Option("--api-server", help="Start an API server for it, and print how kubectl finds it.")
]
_FORWARD = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@app.command()
def up(
    files: Files = None,
    more: MorePaths = None,
    publish: Publish = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Leave it running and return.")] = False,
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Run the Pods of an API server that has no nodes and controllers.")
    ] = False,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="How to log in to it; else as kubectl does.", metavar="FILE")
    ] = None,
    context: Annotated[str, typer.Option(help="Context of the kubeconfig; else its current one.")] = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Nobody else runs anything in that cluster, whatever it looks like.")
    ] = False,
    api_server: ApiServer = False,
) -> None:
    """Run every Pod of a folder, or of an API server, in a network namespace, with a real Envoy. Ctrl-C ends it."""
    from pilotpy.lab import commands, entry, show, state

    if kubeconfig is not None and not kubeconfig.is_file():
        fail(f"{kubeconfig}: no such file", 2)
    if (kubeconfig or context or yes) and not kubernetes:
        fail("--kubeconfig, --context and --yes are about the cluster of --kubernetes", 2)
    if kubernetes and api_server:
        fail("--api-server is a cluster of its own: leave out --kubernetes", 2)
    in_cluster = kubernetes or api_server
    paths = paths_of(files, more) if files or more or not in_cluster else []
    reach = _reach(kubeconfig, context, unguarded=yes, own=api_server) if in_cluster else None
    try:
        ports = [commands.Publish.of(text) for text in publish or []]
        if not detach:
            commands.up(paths, ports, reach=reach)
        found = commands.up_detached(paths, ports, reach=reach)
    except (state.Taken, entry.Forbidden, OSError, ValueError) as error:
        fail(str(error))
    for line in (*show.pod_lines(found.pods), "", *show.try_next(found, "")):
        print(line)
    print(f"What is wrong with the manifests is told in {state.folder() / state.LOG}")


@app.command()
def down() -> None:
    """End the lab of this user: processes, namespaces, rules."""
    from pilotpy.lab import commands

    print("the lab is down" if commands.down() else "no lab was running")


@app.command()
def status(output: Annotated[str, typer.Option("--output", "-o", help="text or json.")] = "text") -> None:
    """Show the pods of the lab; exit code 1 if none is running."""
    import msgspec

    from pilotpy.lab import commands, show

    found = commands.status()
    if found is None:
        fail("no lab is running; `pilotpy lab up -f PATH` starts one")
    if output == "json":
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    for line in (*show.pod_lines(found.pods), "", *show.facts(found)):
        print(line)


@app.command("control-plane")
def control_plane(
    up: Annotated[bool, typer.Option("--up/--kill", help="Have it come back, or die without a word.")],
) -> None:
    """Kill the lab's control plane, or have it come back: what runs goes on either way."""
    from pilotpy.lab import commands

    try:
        commands.plane(up=up)
    except (commands.NotRunning, OSError) as error:
        fail(str(error))
    print(f"the control plane is {'up' if up else 'gone'}")


@app.command("exec", context_settings=_FORWARD)
def execute(pod: Pod, command: Annotated[list[str], typer.Argument(help="The command.", metavar="COMMAND...")]) -> None:
    """Run a command inside a pod."""
    from pilotpy.lab import commands

    try:
        commands.run_in(pod, command[1:] if command[0] == "--" else command)
    except (commands.NotRunning, OSError) as error:
        fail(str(error))


@app.command(context_settings=_FORWARD)
def curl(pod: Pod, arguments: Annotated[list[str], typer.Argument(help="curl's arguments.", metavar="URL...")]) -> None:
    """Send a request from inside a pod, with curl."""
    from pilotpy.lab import commands

    try:
        commands.curl_in(pod, arguments)
    except (commands.NotRunning, OSError) as error:
        fail(str(error))


@app.command()
def demo(
    once: Annotated[bool, typer.Option(help="Take the mesh down at the end.")] = False,
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="The same at an API server, which is started for it.")
    ] = False,
) -> None:
    """Bring up bookinfo, shift its canary while counting, and time the shift to the last Envoy's ACK."""
    from pilotpy.lab import entry, state
    from pilotpy.lab.demo import run

    try:
        run(once=once, reach=_reach(None, "", unguarded=False, own=True) if kubernetes else None)
    except (state.Taken, entry.Forbidden, OSError) as error:
        fail(str(error))


def _reach(kubeconfig: Path | None, context: str, *, unguarded: bool, own: bool) -> Reach:
    from pilotpy.lab.cluster import reach

    return reach.own_server if own else reach.somebodys(kubeconfig, context, unguarded=unguarded)
