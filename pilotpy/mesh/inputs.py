"""From what a source reports to writes into the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pilotpy.engine import Kind, Put
from pilotpy.mesh.kinds import KIND_OF, MESH_CONFIG
from pilotpy.sources.change import Change


def puts(changes: Iterable[Change], kinds: Mapping[str, Kind[Any]] = KIND_OF) -> list[Put]:
    """The writes that make the inputs as the changes say, in their order; of kinds that queries read."""
    found = []
    for ref, _, _, new in changes:
        if ref.kind == MESH_CONFIG.name:
            found.append(Put(MESH_CONFIG, ("",), new.spec if new else None))
        elif ref.kind in kinds:
            found.append(Put(kinds[ref.kind], (ref.namespace, ref.name), new))
    return found
