"""The objects of many files: what they say now, or said last where they are broken.

A file or a document that breaks keeps the objects that it held last; a root that vanishes keeps all
of its own; findings say so. Where two files have an object of one name, the first by path counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.schema import codes
from pilotpy.schema.closed import told
from pilotpy.sources.change import Change, Origin
from pilotpy.sources.disk import Look
from pilotpy.sources.manifest import Manifest, Written, double, located


class Files:
    """All files of a source. No I/O: what was read comes in, changes go out."""

    def __init__(self) -> None:
        self._manifests: dict[Path, Manifest] = {}
        self._holders: defaultdict[Ref, set[Path]] = defaultdict(set)
        self._vanished: frozenset[Path] = frozenset()

    def take(self, look: Look, read: Mapping[Path, Manifest]) -> list[Change]:
        """Accept a look at the disk, and what the files that it found say. Returns the changes, sorted by object."""
        self._vanished = look.vanished
        said: dict[Path, Manifest | None] = dict.fromkeys(look.gone)
        said |= {path: manifest.after(self._manifests.get(path)) for path, manifest in read.items()}
        concerned = {
            ref for path in said for one in (self._manifests.get(path), said[path]) if one for ref in one.objects
        }
        before = {ref: self.written(ref) for ref in concerned}
        for path, manifest in said.items():
            self._put(path, manifest)
        changes = (_change(ref, before[ref], self.written(ref)) for ref in sorted(concerned))
        return [change for change in changes if change.old != change.new]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that is wrong with the files now, by file and line."""
        found = [finding for manifest in self._manifests.values() for finding in manifest.findings]
        found += [finding for ref in self._holders for finding in self._doubles(ref)]
        found += [
            located(told(ref), one.lines) for ref in self._holders if (one := self.written(ref)) and one.stands_in
        ]
        found += [_vanished(root) for root in self._vanished]
        return tuple(sorted(found, key=lambda finding: (finding.file, finding.line, finding.code, finding.field)))

    def written(self, ref: Ref) -> Written | None:
        """The object of a name that counts."""
        holders = self._holders.get(ref)
        return self._manifests[min(holders)].objects[ref] if holders else None

    def where(self, ref: Ref, field: str = "") -> Origin | None:
        """File and line of a field of an object, or of what is nearest above it; None: nobody wrote the object."""
        written = self.written(ref) or self._unusable(ref)
        if written is None or not field:
            return written and written.origin
        return Origin(written.lines.file, written.lines.line(field))

    @property
    def broken(self) -> tuple[Resource[Any], ...]:
        """Objects that can be read and not be used, and of which no good one of the same name is known; sorted."""
        broken = {ref for manifest in self._manifests.values() for ref in manifest.broken}
        refs = {ref for ref in broken if (one := self.written(ref)) is None or one.stands_in}
        return tuple(one.resource for ref in sorted(refs) if (one := self._unusable(ref)))

    def _unusable(self, ref: Ref) -> Written | None:
        return next((one for manifest in self._manifests.values() if (one := manifest.broken.get(ref))), None)

    def implied(self, ref: Ref) -> bool:
        """Whether an object is in its namespace only because its file names none."""
        return any(ref in manifest.implied for manifest in self._manifests.values())

    def _put(self, path: Path, manifest: Manifest | None) -> None:
        last = self._manifests.pop(path, None)
        for ref in last.objects if last else ():
            self._holders[ref].discard(path)
            if not self._holders[ref]:
                del self._holders[ref]
        if manifest:
            self._manifests[path] = manifest
            for ref in manifest.objects:
                self._holders[ref].add(path)

    def _doubles(self, ref: Ref) -> Iterator[Finding]:
        if len(self._holders[ref]) > 1:
            first, *others = (self._manifests[path].objects[ref] for path in sorted(self._holders[ref]))
            yield from (double(other, first) for other in others)


def _change(ref: Ref, old: Written | None, new: Written | None) -> Change:
    one = new or old
    origin = one.origin if one else Origin("", 0)
    return Change(ref, origin, old.resource if old else None, new.resource if new else None)


def _vanished(root: Path) -> Finding:
    return Finding(
        code=codes.UNREADABLE,
        severity=Severity.ERROR,
        message="There is no such file or folder, or it may not be read",
        hint="Bring it back; what it said before, if anything, still counts",
        file=str(root),
    )
