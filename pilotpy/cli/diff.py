"""``pilotpy diff``: which proxies a change of files would change, and how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pilotpy.cli.options import (
    Dialect,
    EnvoyDialect,
    InCluster,
    Kubeconfig,
    KubeContext,
    MeshConfigFile,
    Report,
    ReportFormat,
    fail,
    paths_of,
    snapshot_of,
)

if TYPE_CHECKING:
    from pilotpy.explain.difference import Difference


def diff(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Folder or file as it is, and as it would be; with --kubernetes, what would be applied.",
            metavar="DIR DIR2 | --kubernetes PATH...",
        ),
    ],
    kubernetes: InCluster = False,
    kubeconfig: Kubeconfig = None,
    context: KubeContext = None,
    mesh_config: MeshConfigFile = None,
    envoy: EnvoyDialect = Dialect.ISTIO,
    output: ReportFormat = Report.TEXT,
) -> None:
    """Show which proxies change, and what is added (+), removed (-) and changed (~); exit code 2 if anything is."""
    from pilotpy import api

    paths_of(paths, None)
    if not kubernetes and len(paths) != 2:
        fail("name two folders or files, DIR and DIR2; or a cluster, with --kubernetes", 2)
    cluster = snapshot_of(kubeconfig, context, kubernetes=kubernetes)
    before, after = ([], paths) if kubernetes else (paths[:1], paths[1:])
    old, new = (api.load(*some, mesh_config=mesh_config, cluster=cluster) for some in (before, after))
    changes = api.changes(old, new, envoy=envoy.value)
    if output is Report.JSON:
        print(json.dumps([_plain(proxies, differences) for proxies, differences in changes], indent=2))
    else:
        _print(changes, len({*old.proxies, *new.proxies}))
    if changes:
        raise typer.Exit(2)


def _plain(proxies: tuple[str, ...], differences: tuple[Difference, ...]) -> dict[str, Any]:
    return {"proxies": list(proxies), "changes": [difference._asdict() for difference in differences]}


def _print(changes: list[tuple[tuple[str, ...], tuple[Difference, ...]]], total: int) -> None:
    changed = sum(len(proxies) for proxies, _ in changes)
    print(f"{changed} of {total} proxies change")
    for proxies, differences in changes:
        print(f"\n{', '.join(proxies)}")
        for difference in differences:
            print(difference_line(difference))


def difference_line(difference: Difference) -> str:
    """Return one difference as one line, indented."""
    mark, kind, name, path, was, is_ = difference
    line = f"  {mark} {kind} {name}"
    if path:
        line += f" {path}"
    if mark == "~":
        line += f": {_short(was)} -> {_short(is_)}"
    elif path:
        line += f": {_short(was if mark == '-' else is_)}"
    return line


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else text[:99] + "…"
