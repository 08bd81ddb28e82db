"""``pilotpy proxy-status``: whether proxies have what they were sent, and where one differs from it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from pilotpy.cli.compile import print_data
from pilotpy.cli.diff import difference_line
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
from pilotpy.explain import sync_status
from pilotpy.explain.config_dump import ConfigDump, Unreadable

_COMPARED = ("clusters", "listeners", "routes")


def proxy_status(
    pod: PodName = "",
    debug_address: DebugAddress = "",
    xds_address: Annotated[
        str, typer.Option("--xds-address", help="In its place, ADS over TLS: 15012.", metavar="HOST:PORT")
    ] = "",
    token: TokenFile = None,
    root_cert: Annotated[
        Path | None, typer.Option(help="What vouches for --xds-address.", metavar="FILE", exists=True)
    ] = None,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Only proxies of this namespace.")] = "",
    file: DumpFile = None,
    admin: AdminAddress = "",
    verbosity: Annotated[
        int, typer.Option("--verbosity", "-v", help="0: only which types each proxy asked for.", min=0, max=1)
    ] = 1,
    output: Annotated[Format, typer.Option("--output", "-o", help="How to print.")] = Format.TEXT,
) -> None:
    """Show how far each connected proxy is; with a POD, how what its Envoy has differs from what it is sent (exit 2).

    Asks the control plane of the running lab, or the one at --debug-address. SYNCED: it has all that it was sent.
    STALE: it has yet to answer. NOT SENT: there is nothing new for it. ERROR: it refused, for the reason given.
    """
    plane = ControlPlane(debug_address, token, xds_address, root_cert)
    try:
        if pod:
            _compare(pod, Source(pod, file, admin), plane)
        else:
            _list(plane, namespace, output, brief=verbosity == 0)
    except Nowhere as error:
        fail(str(error), 2)
    except (Unreadable, OSError) as error:
        fail(str(error))


def _list(plane: ControlPlane, namespace: str, output: Format, *, brief: bool) -> None:
    from datetime import UTC, datetime

    try:
        entries = json.loads(plane.page(f"debug/syncz?namespace={quote(namespace)}"))
    except ValueError as error:
        raise Unreadable(f"{plane.name} does not answer as a control plane does: {error}") from None
    if output is not Format.TEXT:
        print_data(entries, output)
        return
    # Who has asked for nothing is no proxy, but somebody who looks, as we do over ADS.
    proxies = [status for status in map(sync_status.proxy_status, entries) if status.types]
    statuses = sorted(proxies, key=lambda status: status.name)
    if brief:
        header = ("NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES")
        print(table(header, sync_status.brief_rows(statuses, plane.name)))
    else:
        shown = sync_status.columns(statuses)
        rows = sync_status.rows(statuses, plane.name, datetime.now(UTC))
        print(table(("NAME", "CLUSTER", *shown, "ISTIOD", "VERSION"), rows))
    for line in sync_status.refusals(statuses):
        print(f"\n{line}")


def _compare(pod: str, envoy: Source, plane: ControlPlane) -> None:
    from pilotpy.explain.difference import differences

    sent, had = _compared(Source(plane.proxy(pod), plane=plane).dump()), _compared(envoy.dump())
    found = differences(sent, had)
    for kind in _COMPARED:
        different = [one for one in found if one.type == kind]
        print(f"{kind.capitalize()} {'Do Not Match' if different else 'Match'}")
        for one in different:
            print(difference_line(one))
    if found:
        raise typer.Exit(2)


def _compared(dump: ConfigDump) -> dict[str, Iterable[Any]]:
    document = dump.document(static=False)
    return {kind: document[kind] for kind in _COMPARED}
