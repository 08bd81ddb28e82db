"""Options that several commands share, and how they fail."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from pilotpy.sources.snapshot import Snapshot

Files = Annotated[
    list[Path] | None,
    typer.Option("--file", "-f", help="File or folder of YAML or JSON; may be repeated.", metavar="PATH"),
]
MorePaths = Annotated[list[Path] | None, typer.Argument(help="More files or folders.", metavar="PATH")]
# With `exists`, a name that is mistyped is said at once instead of leaving the defaults in force.
MeshConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--mesh-config",
        help="MeshConfig as a file; else from ConfigMap istio.",
        metavar="FILE",
        exists=True,
        dir_okay=False,
    ),
]

MeshNetworksFile = Annotated[
    Path | None,
    typer.Option(
        "--mesh-networks",
        help="MeshNetworks as a file; else from ConfigMap istio.",
        metavar="FILE",
        exists=True,
        dir_okay=False,
    ),
]

InCluster = Annotated[bool, typer.Option("--kubernetes", help="Look at a cluster, with the files as if applied to it.")]
Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig",
        help="How to log in to the cluster; else by KUBECONFIG, as the Pod that this is, by ~/.kube/config.",
        metavar="FILE",
    ),
]
KubeContext = Annotated[
    str | None, typer.Option("--context", help="Context of the kubeconfig; else its current one.", metavar="NAME")
]


class Dialect(StrEnum):
    """Which Envoy is served."""

    ISTIO = "istio"
    PLAIN = "plain"


class Format(StrEnum):
    """How documents are printed."""

    JSON = "json"
    YAML = "yaml"
    TEXT = "text"


class Report(StrEnum):
    """How findings and differences are printed."""

    TEXT = "text"
    JSON = "json"


ReportFormat = Annotated[Report, typer.Option("--output", "-o", help="How to print.")]
EnvoyDialect = Annotated[Dialect, typer.Option("--envoy", help="Which Envoy: with Istio's own filters, or plain.")]


def fail(message: str, code: int = 1) -> NoReturn:
    """Print one line to standard error and leave with an exit code."""
    print(f"pilotpy: {message}", file=sys.stderr)
    raise typer.Exit(code)


def snapshot_of(kubeconfig: Path | None, context: str | None, *, kubernetes: bool) -> Snapshot | None:
    """Return what a cluster holds now, if it is to be looked at; leave if it cannot be."""
    if not kubernetes:
        if kubeconfig is not None or context is not None:
            fail("--kubeconfig and --context are for a cluster: with --kubernetes", 2)
        return None
    if kubeconfig is not None and not kubeconfig.is_file():
        fail(f"{kubeconfig}: no such file", 2)
    from pilotpy import api
    from pilotpy.ops.settings import Wrong
    from pilotpy.sources.kubernetes.trouble import Trouble

    try:
        return api.cluster(kubeconfig, context)
    except Wrong as error:
        fail(str(error))
    except Trouble as trouble:
        fail(f"the cluster cannot be looked at: {trouble}")


def paths_of(files: list[Path] | None, more: list[Path] | None, *, needed: bool = True) -> list[Path]:
    """Return all paths that were named; leave if one is no file or folder, or there is none and one is needed."""
    paths = [*(files or []), *(more or [])]
    if needed and not paths:
        fail("name at least one file or folder: -f PATH", 2)
    for path in paths:
        if not path.exists():
            fail(f"{path}: no such file or folder", 2)
        if not (path.is_file() or path.is_dir()):  # a pipe can be read but once, and is not watched
            fail(f"{path}: neither a file nor a folder; write it to a file first", 2)
    return paths
