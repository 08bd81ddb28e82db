"""``pilotpy agent``: what runs beside an Envoy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pilotpy.cli.options import Dialect, EnvoyDialect, Files, MorePaths, fail, paths_of

app = typer.Typer(help="What runs beside an Envoy.", no_args_is_help=True)


@app.command()
def bootstrap(
    files: Files = None,
    more: MorePaths = None,
    proxy: Annotated[str, typer.Option(help="The Pod whose Envoy is to start.", metavar="POD.NAMESPACE")] = "",
    node: Annotated[str, typer.Option(help="Instead of a Pod: the node id.", metavar="ID")] = "",
    metadata: Annotated[str, typer.Option(help="With --node: its metadata.", metavar="JSON")] = "{}",
    discovery: Annotated[
        str, typer.Option(help="Where ADS is: HOST:PORT, or the path of a unix socket.", metavar="ADDRESS")
    ] = "127.0.0.1:15010",
    sotw: Annotated[bool, typer.Option("--sotw", help="State of the world instead of incremental xDS.")] = False,
    agent: Annotated[bool, typer.Option(help="Whether an agent answers health checks on port 15020.")] = False,
    envoy: EnvoyDialect = Dialect.PLAIN,
) -> None:
    """Print what an Envoy without an agent starts with, as JSON for envoy -c FILE; mutual TLS must be off for it."""
    import json

    from pilotpy import api
    from pilotpy.agent.bootstrap import Address, Start, bootstrap_text
    from pilotpy.agent.node import Node

    if bool(proxy) == bool(node):
        fail("name the proxy with either --proxy POD.NAMESPACE (and -f) or --node ID", 2)
    try:
        if proxy:
            announced = api.load(*paths_of(files, more)).announcement(proxy, envoy=envoy.value)
        else:
            announced = Node(node, "", json.loads(metadata))
    except (api.Unknown, json.JSONDecodeError) as error:
        fail(str(error))
    host, _, port = discovery.rpartition(":")
    where = Address(host.strip("[]"), int(port)) if port.isdigit() else Address(discovery)
    print(bootstrap_text(Start(node=announced, discovery=where, delta=not sotw, agent_port=15020 if agent else None)))


@app.command()
def run(
    root: Annotated[
        Path, typer.Option(help="What paths such as var/run/secrets/tokens/istio-token are under.", metavar="FOLDER")
    ] = Path("/"),
    discovery: Annotated[
        str, typer.Option(help="The control plane; else discoveryAddress of PROXY_CONFIG.", metavar="HOST:PORT")
    ] = "",
    envoy: Annotated[str, typer.Option(help="Envoy's program; else the installed one.", metavar="PATH")] = "",
    concurrency: Annotated[int, typer.Option(help="Envoy's worker threads.")] = 2,
    log_level: Annotated[str, typer.Option(help="Envoy's.")] = "warning",
    log_as_json: Annotated[bool, typer.Option("--log-as-json", help="Log as JSON lines.")] = False,
    alone: Annotated[bool, typer.Option("--no-envoy", help="Start no Envoy: something else does.")] = False,
) -> None:
    """Stand beside an Envoy: its certificate, discovery, names, health and end.

    Set up by the variables that pilot-agent reads: POD_NAME, POD_NAMESPACE, INSTANCE_IP, SERVICE_ACCOUNT,
    TRUST_DOMAIN, CA_ADDR, PROXY_CONFIG, SECRET_TTL, ISTIO_META_DNS_CAPTURE and others.
    """
    import asyncio
    import os

    from pilotpy.agent.envoy_process import installed
    from pilotpy.agent.stand import stand
    from pilotpy.ops.logs import log_to
    from pilotpy.ops.settings import Wrong

    log_to(as_json=log_as_json)
    environment = {**os.environ, **({"PILOTPY_DISCOVERY_ADDRESS": discovery} if discovery else {})}
    try:
        program = None if alone else envoy or installed()
        status = asyncio.run(stand(environment, root, program, concurrency=concurrency, log_level=log_level))
    except (Wrong, OSError) as error:
        fail(str(error))
    raise typer.Exit(status if status >= 0 else 128 - status)


@app.command()
def request(
    method: Annotated[str, typer.Argument(help="GET or POST.", metavar="METHOD")],
    path: Annotated[str, typer.Argument(help="The page, such as config_dump.", metavar="PATH")],
    body: Annotated[str, typer.Argument(help="What to send.", metavar="[BODY]")] = "",
    debug_port: Annotated[
        int, typer.Option("--debug-port", help="The port; else that of Envoy's admin pages.")
    ] = 15000,
) -> None:
    """Ask this pod's own Envoy, as pilot-agent's command does: prints the answer, and nothing else."""
    import sys

    from pilotpy.cli.page import page

    try:
        sys.stdout.write(page(f"127.0.0.1:{debug_port}", path, method=method.upper(), body=body))
    except OSError as error:
        fail(str(error))


@app.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
def capture(context: typer.Context) -> None:
    """Redirect this network namespace's traffic through Envoy, with istio-iptables' flags; --help lists them."""
    import argparse
    import os

    from pilotpy.agent import capture as kernel
    from pilotpy.agent import capture_flags

    if {"-h", "--help"} & {*context.args}:
        print(capture_flags.help_text())
        return
    try:
        print(kernel.run(capture_flags.order(context.args, os.environ, kernel.this_machine())), end="")
    except argparse.ArgumentError as error:
        fail(str(error), 2)
    except (kernel.CaptureFailed, OSError) as error:
        fail(str(error))
