"""The settings of the mesh: from ConfigMap ``istio`` in ``istio-system``, or from files of their own, which win.

Settings that cannot be used leave the last good ones in force, as in istiod.
Source: istio/istio pilot/pkg/bootstrap/mesh.go, pkg/config/mesh/kubemesh/watcher.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from pilotpy.model import mesh_config, mesh_networks
from pilotpy.model.resource import Finding, Meta, Ref, Resource
from pilotpy.schema import mesh_config as schema
from pilotpy.schema.documents import documents
from pilotpy.sources.change import Change, Origin
from pilotpy.sources.disk import Content
from pilotpy.sources.manifest import Written, refused

CONFIG_MAP: Final = Ref("ConfigMap", "istio-system", "istio")
MESH_CONFIG: Final = mesh_config.MESH_CONFIG
MESH_NETWORKS: Final = mesh_networks.MESH_NETWORKS

KEYS: Final = {MESH_CONFIG: "mesh", MESH_NETWORKS: "meshNetworks"}
"""Where in the ConfigMap each of the two stands."""

_READ: Final = {MESH_CONFIG: schema.mesh_config, MESH_NETWORKS: schema.mesh_networks}


class _Text(NamedTuple):
    """One of the two as it was written last."""

    text: bytes
    origin: Origin
    shift: int  # lines of the file before it


class MeshSettings:
    """MeshConfig and MeshNetworks, each from where it was said to come from."""

    def __init__(self, own_files: Iterable[Ref]) -> None:
        """`own_files`: which of the two are read from files of their own."""
        self._own_files = frozenset(own_files)
        self._now: dict[Ref, Resource[Any]] = {}
        self._findings: dict[Ref, list[Finding]] = {}
        self._texts: dict[Ref, _Text] = {}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the settings now."""
        return tuple(finding for ref in KEYS for finding in self._findings.get(ref, ()))

    def where(self, ref: Ref, field: str = "") -> Origin | None:
        """File and line of one of the two, or of what is nearest above a field of it; None: nobody wrote it."""
        written = self._texts.get(ref)
        found = documents(written.text, written.origin.file).objects if written and field else ()
        if written is None or not found:
            return written and written.origin
        return Origin(written.origin.file, found[0].lines.line(field) + written.shift)

    def from_file(self, ref: Ref, content: Content, file: str) -> list[Change]:
        """Take one of the two from a file of its own. Returns what that changes."""
        if content.refused:
            self._findings[ref] = [refused(file, content.refused)]
            return []
        return self._take(ref, content.text, Origin(file, 1), shift=0)

    def from_config_map(self, written: Written | None) -> list[Change]:
        """Take what has no file of its own from the ConfigMap. Returns what that changes."""
        changes: list[Change] = []
        for ref, key in KEYS.items():
            if ref in self._own_files:
                continue
            text = written.resource.spec.data.get(key) if written else None
            if written is None or text is None:
                changes += self._drop(ref)
            else:
                line = written.lines.line(f"data.{key}")
                # Text of several lines begins below its key.
                shift = line if "\n" in text else line - 1
                changes += self._take(ref, text.encode(), Origin(written.lines.file, line), shift)
        return changes

    def from_data(self, data: Mapping[str, str], name: str) -> list[Change]:
        """Take both from what the ConfigMap of a cluster holds. Returns what that changes."""
        changes: list[Change] = []
        for ref, key in KEYS.items():
            text = data.get(key)
            changes += self._drop(ref) if text is None else self._take(ref, text.encode(), Origin(name, 1), shift=0)
        return changes

    def _take(self, ref: Ref, text: bytes, origin: Origin, shift: int) -> list[Change]:
        read: tuple[Any, list[Finding]] = _READ[ref](text, origin.file)
        found, findings = read
        self._findings[ref] = [replace(one, ref=ref, line=one.line + shift if one.line else 0) for one in findings]
        self._texts[ref] = _Text(text, origin, shift)
        old = self._now.get(ref)
        if found is None or (old and old.spec == found):
            return []
        self._now[ref] = Resource(ref, Meta(name=""), found)
        return [Change(ref, origin, old, self._now[ref])]

    def _drop(self, ref: Ref) -> list[Change]:
        self._findings.pop(ref, None)
        old = self._now.pop(ref, None)
        written = self._texts.pop(ref, None)
        return [Change(ref, written.origin, old, None)] if written and old else []
