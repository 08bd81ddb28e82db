"""``pilotpy proxy-config``: what an Envoy is configured with, in istioctl's columns. Keys are never shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer

from pilotpy.cli.compile import print_data
from pilotpy.cli.options import Format, fail
from pilotpy.cli.proxy_dump import (
    AdminAddress,
    ControlPlane,
    DebugAddress,
    DumpFile,
    Nowhere,
    PodName,
    Source,
    TokenFile,
)
from pilotpy.cli.table import table
from pilotpy.explain import (
    summary_bootstrap,
    summary_clusters,
    summary_endpoints,
    summary_listeners,
    summary_routes,
    summary_secrets,
)
from pilotpy.explain.config_dump import ConfigDump, Plain, Unreadable
from pilotpy.explain.summary_clusters import ClusterFilter
from pilotpy.explain.summary_endpoints import EndpointFilter
from pilotpy.explain.summary_listeners import ListenerFilter
from pilotpy.explain.summary_routes import RouteFilter

app = typer.Typer(
    help="Show what an Envoy is configured with: a lab's pod, --admin HOST:PORT, a --file, "
    "or with --debug-address what a control plane sends it.",
    no_args_is_help=True,
)


class Output(StrEnum):
    """How it is printed."""

    SHORT = "short"  # a table
    JSON = "json"
    YAML = "yaml"


Rows = Iterable[Sequence[object]]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print.")]
Fqdn = Annotated[str, typer.Option("--fqdn", help="Part of the service's host.")]
Port = Annotated[int, typer.Option("--port", help="The port.")]
Subset = Annotated[str, typer.Option("--subset", help="Part of the subset's name.")]
Direction = Annotated[str, typer.Option("--direction", help="inbound or outbound.")]
Address = Annotated[str, typer.Option("--address", help="The address.")]
ListenerType = Annotated[str, typer.Option("--type", help="HTTP, TCP, HTTP+TCP or UNKNOWN.")]
RouteName = Annotated[str, typer.Option("--name", help="The name of the route table.")]
ClusterNamed = Annotated[str, typer.Option("--cluster", help="The name of the cluster.")]
Status = Annotated[str, typer.Option("--status", help="HEALTHY, UNHEALTHY, DRAINING...")]


def _command(*aliases: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command under its own name, and out of sight under istioctl's other names for it.

    What it shows the configuration of is said with the same options everywhere; it is handed the source itself.
    """

    def register(show: Callable[..., None]) -> Callable[..., None]:
        def command(
            pod: PodName = "",
            file: DumpFile = None,
            admin: AdminAddress = "",
            debug_address: DebugAddress = "",
            token: TokenFile = None,
            **asked: Any,
        ) -> None:
            plane = ControlPlane(debug_address, token) if debug_address else None
            with _said():
                show(Source(pod, file, admin, plane), **asked)

        _, *own = signature(show, eval_str=True).parameters.values()
        *shared, _ = signature(command, eval_str=True).parameters.values()
        taken = Signature([one.replace(kind=Parameter.KEYWORD_ONLY) for one in (*shared, *own)])
        vars(command).update(__signature__=taken, __doc__=show.__doc__)
        command.__annotations__ = {one.name: one.annotation for one in taken.parameters.values()}
        app.command(show.__name__.rstrip("_"))(command)
        for alias in aliases:
            app.command(alias, hidden=True)(command)
        return show

    return register


@_command("clusters", "c")
def cluster(
    source: Source,
    *,
    fqdn: Fqdn = "",
    port: Port = 0,
    subset: Subset = "",
    direction: Direction = "",
    output: OutputOption = Output.SHORT,
) -> None:
    """Show clusters: the services that the Envoy knows."""
    found = source.dump().document()["clusters"]
    clusters = summary_clusters.in_order(found, ClusterFilter(fqdn, port, subset, direction))
    _print(clusters, "config.cluster.v3.Cluster", output, summary_clusters.HEADER, summary_clusters.rows(clusters))


@_command("listeners", "l")
def listener(
    source: Source,
    *,
    address: Address = "",
    port: Port = 0,
    type_: ListenerType = "",
    output: OutputOption = Output.SHORT,
) -> None:
    """Show listeners: what the Envoy takes in, and where it goes."""
    found = source.dump().document()["listeners"]
    listeners = summary_listeners.in_order(found, ListenerFilter(address, port, type_))
    _print(
        listeners, "config.listener.v3.Listener", output, summary_listeners.HEADER, summary_listeners.rows(listeners)
    )


@_command("routes", "r")
def route(
    source: Source,
    *,
    name: RouteName = "",
    output: OutputOption = Output.SHORT,
) -> None:
    """Show routes: which requests go where."""
    found = source.dump().document()["routes"]
    routes = summary_routes.in_order(found, RouteFilter(name))
    _print(routes, "config.route.v3.RouteConfiguration", output, summary_routes.HEADER, summary_routes.rows(routes))


@_command("endpoints", "ep")
def endpoint(
    source: Source,
    *,
    address: Address = "",
    port: Port = 0,
    cluster: ClusterNamed = "",
    status: Status = "",
    output: OutputOption = Output.SHORT,
) -> None:
    """Show endpoints with their health as the Envoy sees it; of a control plane or a dump, as they are assigned."""
    wanted = EndpointFilter(address, port, cluster, status)
    statuses = source.hosts()
    if statuses is None:
        _print_assigned(source.dump(), wanted, output)
        return
    hosts = summary_endpoints.hosts(statuses, wanted)
    _print(hosts, "admin.v3.ClusterStatus", output, summary_endpoints.HEADER, summary_endpoints.host_rows(hosts))


@_command()
def eds(
    source: Source,
    *,
    address: Address = "",
    port: Port = 0,
    cluster: ClusterNamed = "",
    status: Status = "",
    output: OutputOption = Output.SHORT,
) -> None:
    """Show endpoints as they were assigned, with localities and priorities."""
    found = source.dump()
    _print_assigned(found, EndpointFilter(address, port, cluster, status), output)


@_command("b")
def bootstrap(
    source: Source,
    *,
    output: OutputOption = Output.JSON,
) -> None:
    """Show what the Envoy was started with; short: only its versions."""
    found = source.dump().bootstrap
    if output is Output.SHORT:
        print("\n".join(summary_bootstrap.lines(found)))
    else:
        _print(found, "admin.v3.BootstrapConfigDump", output)


@_command("secrets", "s")
def secret(
    source: Source,
    *,
    output: OutputOption = Output.SHORT,
) -> None:
    """Show certificates and roots, until when they are valid, and which the Envoy still waits for; no keys."""
    found = source.dump()
    if output is Output.SHORT and not found.secrets:
        print("No active or warming secrets found.")
    else:
        _print(found.secrets_part, "admin.v3.SecretsConfigDump", output, summary_secrets.HEADER, _secret_rows(found))


@_command("a")
def all_(
    source: Source,
    *,
    headers: Annotated[bool, typer.Option("--with-headers", help="Say above each table what it shows.")] = False,
    output: OutputOption = Output.SHORT,
) -> None:
    """Show all of it: versions, clusters, listeners, routes, secrets, endpoints."""
    found = source.dump()
    if output is not Output.SHORT:
        print_data({"configs": found.parts}, Format(output.value))
        return
    for title, text in _tables(found):
        print(f"------ {title} ------\n\n{text}\n" if headers else f"{text}\n")


def _tables(found: ConfigDump) -> Iterator[tuple[str, str]]:
    """Each table under its title, every row with what it is of, as "cluster/NAME"."""
    document = found.document()
    clusters = summary_clusters.in_order(document["clusters"], ClusterFilter())
    listeners = summary_listeners.in_order(document["listeners"], ListenerFilter())
    routes = summary_routes.in_order(document["routes"], RouteFilter())
    endpoints = summary_endpoints.assignments(document["endpoints"], EndpointFilter())
    yield "BOOTSTRAP INFO", "\n".join(summary_bootstrap.lines(found.bootstrap))
    named = _named("cluster", ((one.get("name", ""), *summary_clusters.rows([one])[0]) for one in clusters))
    yield "CLUSTER INFO", table(("NAME", *summary_clusters.HEADER), named)
    chains = ((one.get("name", ""), *row) for one in listeners for row in summary_listeners.rows([one]))
    yield "LISTENER INFO", table(("NAME", *summary_listeners.HEADER), _named("listener", chains))
    yield "ROUTE INFO", table(summary_routes.HEADER, _named("route", summary_routes.rows(routes)))
    yield "SECRET INFO", table(summary_secrets.HEADER, _named("secret", _secret_rows(found)))
    assigned = _named("endpoint", summary_endpoints.assignment_rows(endpoints))
    yield "ENDPOINTS INFO", table(summary_endpoints.ASSIGNED_HEADER, assigned)


def _named(of: str, rows: Rows) -> Rows:
    return ((f"{of}/{name}", *rest) for name, *rest in rows)


def _secret_rows(found: ConfigDump) -> Rows:
    from datetime import UTC, datetime

    return summary_secrets.rows(found.secrets, datetime.now(UTC))


def _print_assigned(found: ConfigDump, wanted: EndpointFilter, output: Output) -> None:
    if not found.has_endpoints:
        fail("the dump has no endpoints: ask Envoy for /config_dump?include_eds, or for /clusters?format=json")
    endpoints = summary_endpoints.assignments(found.document()["endpoints"], wanted)
    _print(
        endpoints,
        "config.endpoint.v3.ClusterLoadAssignment",
        output,
        summary_endpoints.ASSIGNED_HEADER,
        summary_endpoints.assignment_rows(endpoints),
    )


def _print(
    found: Plain | Sequence[Plain], of: str, output: Output, header: Sequence[str] = (), rows: Rows = ()
) -> None:
    """Print messages ``of`` Envoy's API, or the rows that tell of them."""
    if output is Output.SHORT:
        print(table(header, rows))
        return
    from pilotpy.explain.document import in_camel_case  # late: tables do without all of the API

    type_name = f"envoy.{of}"
    if isinstance(found, Mapping):
        print_data(in_camel_case(type_name, found), Format(output.value))
    else:
        print_data([in_camel_case(type_name, one) for one in found], Format(output.value))


@contextmanager
def _said() -> Iterator[None]:
    """What keeps a dump from being read, as one sentence."""
    try:
        yield
    except Nowhere as error:
        fail(str(error), 2)
    except (Unreadable, OSError) as error:
        fail(str(error))
