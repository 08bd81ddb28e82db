"""The mesh-wide settings, and the narrow questions that most queries have about them.

From the one MeshConfig input to answers that stay equal when other settings change.
"""

from __future__ import annotations

from pilotpy.engine import Asking, query
from pilotpy.mesh.exports import Exporting
from pilotpy.mesh.kinds import MESH_CONFIG
from pilotpy.model.mesh_config import MeshConfig


@query
def mesh_config(q: Asking) -> MeshConfig:
    """Return the mesh's settings; Istio's defaults where nobody wrote any."""
    return q.get(MESH_CONFIG, "") or MeshConfig()


@query
def root_namespace(q: Asking) -> str:
    """Return the namespace whose policies hold for the whole mesh."""
    return q(mesh_config).root_namespace


@query
def export_default(q: Asking, exporting: Exporting) -> tuple[str, ...]:
    """Return the ``exportTo`` of objects that say nothing; never empty."""
    config = q(mesh_config)
    written = {
        Exporting.SERVICE: config.default_service_export_to,
        Exporting.DESTINATION_RULE: config.default_destination_rule_export_to,
        Exporting.VIRTUAL_SERVICE: config.default_virtual_service_export_to,
    }[exporting]
    return written or ("*",)
