"""``pilotpy compile``: exactly what one proxy would be served, offline."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pilotpy.cli.options import (
    Dialect,
    EnvoyDialect,
    Files,
    Format,
    InCluster,
    Kubeconfig,
    KubeContext,
    MeshConfigFile,
    MorePaths,
    fail,
    paths_of,
    snapshot_of,
)

if TYPE_CHECKING:
    from pilotpy.api import Mesh, MeshProxy


def compile_(
    files: Files = None,
    more: MorePaths = None,
    kubernetes: InCluster = False,
    kubeconfig: Kubeconfig = None,
    context: KubeContext = None,
    proxy: Annotated[str, typer.Option(help="A Pod or its workload.", metavar="POD.NAMESPACE")] = "",
    node: Annotated[str, typer.Option(help="A node id, as Envoy announces it.", metavar="ID")] = "",
    metadata: Annotated[str, typer.Option(help="The node's metadata.", metavar="JSON")] = "",
    locality: Annotated[str, typer.Option(help="Where the node runs.", metavar="REGION/ZONE/SUBZONE")] = "",
    mesh_config: MeshConfigFile = None,
    envoy: EnvoyDialect = Dialect.ISTIO,
    kind: Annotated[str, typer.Option("--type", help="all, or some of cds,eds,lds,rds,sds,nds.")] = "all",
    output: Annotated[Format, typer.Option("--output", "-o", help="How to print.")] = Format.JSON,
) -> None:
    """Print what a proxy would be served: clusters, endpoints, listeners, routes, names, findings."""
    from pilotpy import api

    if bool(proxy) == bool(node):
        fail("name the proxy with either --proxy POD.NAMESPACE or --node ID", 2)
    paths = paths_of(files, more, needed=not kubernetes)
    cluster = snapshot_of(kubeconfig, context, kubernetes=kubernetes)
    mesh = api.load(*paths, mesh_config=mesh_config, cluster=cluster)
    try:
        found = mesh.proxy(proxy, envoy=envoy.value) if proxy else _node(mesh, node, metadata, locality, envoy)
        document = found.document(kind.split(","))
    except api.Unknown as error:
        fail(str(error))
    if output is Format.TEXT:
        from pilotpy.cli.text import print_document

        print_document(document)
    else:
        print_data(document, output)


def print_data(document: Any, output: Format) -> None:
    """Print plain data as JSON or YAML, keys in the order given."""
    if output is Format.JSON:
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        import yaml

        yaml.dump(document, sys.stdout, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)


def _node(mesh: Mesh, node: str, metadata: str, locality: str, envoy: Dialect) -> MeshProxy:
    try:
        said = json.loads(metadata or "{}")
    except json.JSONDecodeError as error:
        fail(f"--metadata is not JSON: {error}", 2)
    if not isinstance(said, dict):
        fail("--metadata is not a JSON object", 2)
    return mesh.node(node, metadata=said, locality=locality, envoy=envoy.value)
