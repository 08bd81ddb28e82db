"""``pilotpy analyze``: all that is worth saying about a mesh, before it serves anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pilotpy.cli.options import (
    Files,
    InCluster,
    Kubeconfig,
    KubeContext,
    MeshConfigFile,
    MeshNetworksFile,
    MorePaths,
    Report,
    ReportFormat,
    paths_of,
    snapshot_of,
)

if TYPE_CHECKING:
    from pilotpy.model.resource import Finding


def analyze(
    more: MorePaths = None,
    files: Files = None,
    kubernetes: InCluster = False,
    kubeconfig: Kubeconfig = None,
    context: KubeContext = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Only what is wrong here, or belongs to no namespace.")
    ] = "",
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

    paths = paths_of(files, more, needed=not kubernetes)
    mesh = api.load(
        *paths,
        mesh_config=mesh_config,
        mesh_networks=mesh_networks,
        default_resources=default_resources,
        cluster=snapshot_of(kubeconfig, context, kubernetes=kubernetes),
    )
    findings = [one for one in mesh.findings if not namespace or _home(one) in {"", namespace}]
    where = f"in namespace {namespace}" if namespace else "with this mesh"
    report(findings, output, implied=mesh.implied, otherwise=f"No findings: nothing is wrong {where}")


def _home(finding: Finding) -> str:
    """Which namespace a finding is about; "": none."""
    if finding.ref is None:
        return ""
    return finding.ref.name if finding.ref.kind == "Namespace" else finding.ref.namespace
