"""``pilotpy lab``: a mesh of real Envoys on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pilotpy.cli.options import Files, MorePaths, fail, paths_of

app = typer.Typer(help="A mesh of real Envoys on this machine, no cluster needed.", no_args_is_help=True)

Pod = Annotated[str, typer.Argument(help="A pod or workload of the lab.", metavar="POD[.NAMESPACE]")]
Publish = Annotated[
    list[str] | None,
    typer.Option(help="A port of this machine for a Service.", metavar="[PORT:]SERVICE[.NAMESPACE]:PORT"),
]
_FORWARD = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@app.command()
def up(
    files: Files = None,
    more: MorePaths = None,
    publish: Publish = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Leave it running and return.")] = False,
) -> None:
    """Run every Pod of a folder in a network namespace, with a real Envoy. Ctrl-C ends it."""
    from pilotpy.lab import commands, entry, show, state

    paths = paths_of(files, more)
    try:
        ports = [commands.Publish.of(text) for text in publish or []]
        if not detach:
            commands.up(paths, ports)
        found = commands.up_detached(paths, ports)
    except (state.Taken, entry.Forbidden, OSError, ValueError) as error:
        fail(str(error))
    for line in (*show.pod_lines(found.pods), "", *show.try_next(found, "")):
        print(line)
    print(f"What is wrong with the manifests is told in {Path(found.keys).with_name(state.LOG)}")


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
) -> None:
    """Bring up bookinfo, shift its canary while counting, and time the shift to the last Envoy's ACK."""
    from pilotpy.lab import entry, state
    from pilotpy.lab.demo import run

    try:
        run(once=once)
    except (state.Taken, entry.Forbidden, OSError) as error:
        fail(str(error))
