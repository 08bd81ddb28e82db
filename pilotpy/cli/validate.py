"""``pilotpy validate``: whether a cluster with Istio's admission would take each of some objects."""

from __future__ import annotations

from pilotpy.cli.options import (
    Files,
    MeshConfigFile,
    MeshNetworksFile,
    MorePaths,
    Report,
    ReportFormat,
    paths_of,
)
from pilotpy.model.resource import Finding, Ref


def validate(
    files: Files = None,
    more: MorePaths = None,
    mesh_config: MeshConfigFile = None,
    mesh_networks: MeshNetworksFile = None,
    output: ReportFormat = Report.TEXT,
) -> None:
    """Say what is wrong with objects, each by itself; exit code 1 if any would be refused."""
    from pilotpy.cli.findings import report
    from pilotpy.sources.disk import Disk
    from pilotpy.sources.manifest import manifest
    from pilotpy.sources.mesh_settings import MESH_CONFIG, MESH_NETWORKS, MeshSettings

    own_files = {path: ref for path, ref in ((mesh_config, MESH_CONFIG), (mesh_networks, MESH_NETWORKS)) if path}
    paths = paths_of([*(files or []), *(more or []), *own_files], None)
    settings = MeshSettings(own_files.values())
    findings: list[Finding] = []
    implied: set[Ref] = set()
    valid = 0
    for path, content in Disk(paths).look().contents.items():
        if path in own_files:
            valid += bool(settings.from_file(own_files[path], content, str(path)))
        else:
            read = manifest(path, content)
            findings += read.findings
            implied |= read.implied
            valid += len(read.objects)
    findings += settings.findings
    said = f"{valid} resource{'s are' if valid != 1 else ' is'} valid"
    report(findings, output, implied=implied.__contains__, otherwise=said)
