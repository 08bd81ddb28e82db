"""The command line: parse, ask, show. Each command lives in a module of its own and imports late."""

from __future__ import annotations

import typer

from pilotpy.cli import (  # the commands' names
    agent,
    analyze,
    ca,
    compile,  # noqa: A004 - the name of the command
    diff,
    lab,
    proxy_config,
    proxy_status,
    serve,
    validate,
)

app = typer.Typer(
    name="pilotpy",
    help="The control plane of an Envoy service mesh.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve.serve)
app.command("compile")(compile.compile_)
app.command()(diff.diff)
app.command()(analyze.analyze)
app.command()(validate.validate)
app.command("proxy-status")(proxy_status.proxy_status)
app.command("ps", hidden=True)(proxy_status.proxy_status)
app.add_typer(proxy_config.app, name="proxy-config")
app.add_typer(proxy_config.app, name="pc", hidden=True)
app.add_typer(lab.app, name="lab")
app.add_typer(agent.app, name="agent")
app.add_typer(ca.app, name="ca")


def main() -> None:
    """Run the command that the process' arguments name."""
    app()
