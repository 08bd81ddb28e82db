"""``pilotpy analyze``: all that is worth saying about a mesh, before it serves anybody."""

from __future__ import annotations

from typing import Annotated

import typer

from pilotpy.cli.options import Files, MeshConfigFile, MeshNetworksFile, MorePaths, Report, ReportFormat, paths_of


def analyze(
    more: MorePaths = None,
    files: Files = None,
    mesh_config: MeshConfigFile = None,
    mesh_networks: MeshNetworksFile = None,
    default_resources: Annotated[
        bool, typer.Option("--default-resources", help="Assume the ingress gateway that Istio installs.")
    ] = False,
    output: ReportFormat = Report.TEXT,
) -> None:
    """Say what is wrong or doubtful in a mesh, and what mends it; exit code 1 if any of it is an error."""
    from pilotpy import api
    from pilotpy.cli.findings import report

    mesh = api.load(
        *paths_of(files, more),
        mesh_config=mesh_config,
        mesh_networks=mesh_networks,
        default_resources=default_resources,
    )
    report(mesh.findings, output, implied=mesh.implied, otherwise="No findings: nothing is wrong with this mesh")
