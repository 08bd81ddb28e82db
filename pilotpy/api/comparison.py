"""What changes between two meshes, for whom."""

from __future__ import annotations

from typing import Any

from pilotpy.api.mesh import Mesh
from pilotpy.api.proxy import MeshProxy
from pilotpy.compile.collections import COLLECTIONS
from pilotpy.explain.difference import Difference, differences


def changes(before: Mesh, after: Mesh, *, envoy: str = "istio") -> list[tuple[tuple[str, ...], tuple[Difference, ...]]]:
    """Return what changes between two meshes: proxies that change alike, with what changes for them. Sorted."""
    alike: dict[tuple[str, ...], list[str]] = {}
    told: dict[tuple[str, ...], tuple[Difference, ...]] = {}
    nothing: dict[str, Any] = {}
    for name in sorted({*before.proxies, *after.proxies}):
        old, new = (mesh.proxy(name, envoy=envoy) if name in mesh.proxies else None for mesh in (before, after))
        if old and new and all(old.tree(url) == new.tree(url) for url in COLLECTIONS):
            continue
        found = tuple(differences(*(_served(one) if one else nothing for one in (old, new))))
        key = tuple(map(repr, found))
        alike.setdefault(key, []).append(name)
        told[key] = found
    return [(tuple(names), told[key]) for key, names in sorted(alike.items(), key=lambda item: item[1])]


def _served(proxy: MeshProxy) -> dict[str, Any]:
    document = proxy.document()
    del document["findings"]
    return document
