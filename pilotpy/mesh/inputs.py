"""From what a source reports to writes into the engine."""

from __future__ import annotations

from collections.abc import Iterable

from pilotpy.engine import Put
from pilotpy.mesh.kinds import KIND_OF, MESH_CONFIG
from pilotpy.sources.change import Change


def puts(changes: Iterable[Change]) -> list[Put]:
    """The writes that make the inputs as the changes say, in their order; of kinds that queries read."""
    found = []
    for ref, _, _, new in changes:
        if ref.kind == MESH_CONFIG.name:
            found.append(Put(MESH_CONFIG, ("",), new.spec if new else None))
        elif ref.kind in KIND_OF:
            found.append(Put(KIND_OF[ref.kind], (ref.namespace, ref.name), new))
    return found
