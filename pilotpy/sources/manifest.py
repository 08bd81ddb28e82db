"""One file's content as objects, each with its lines, and all that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.schema import codes
from pilotpy.schema.admission import admitted
from pilotpy.schema.closed import closed
from pilotpy.schema.documents import Lines, documents
from pilotpy.schema.readable import readable
from pilotpy.sources.change import Origin
from pilotpy.sources.disk import Content


class Written(NamedTuple):
    """An object as it stands in a file."""

    resource: Resource[Any]
    lines: Lines
    stands_in: bool = False  # the object cannot be used, and this is instead of it

    @property
    def origin(self) -> Origin:
        """File and first line."""
        return Origin(self.lines.file, self.lines.start)


class Manifest(NamedTuple):
    """What a file says."""

    objects: dict[Ref, Written]  # in the file's order; of one name only the first
    findings: tuple[Finding, ...]  # with file and line
    broken: Mapping[Ref, Written | None]  # objects that are there, and cannot be used; None: nor even read
    whole: bool  # else there may be more objects, whose very names cannot be read
    implied: frozenset[Ref] = frozenset()  # objects that are in namespace default because they name none
    shut: Mapping[Ref, Written] = {}  # what stands in for broken objects that no workload may be without

    def after(self, last: Manifest | None) -> Manifest:
        """The same, with the objects of the one before it in place of those that broke since, or what stands in."""
        said = last.objects if last else {}
        kept = {ref: one for ref, one in said.items() if ref in self.broken or not self.whole}
        good = {ref: one for ref, one in kept.items() if not one.stands_in}
        return self._replace(objects={**kept, **self.shut, **good, **self.objects})


def manifest(path: Path, content: Content) -> Manifest:
    """What the content of a file says. Never raises."""
    if content.refused:
        return Manifest({}, (refused(str(path), content.refused),), {}, whole=False)
    read = documents(content.text, str(path))
    objects: dict[Ref, Written] = {}
    findings = list(read.findings)
    broken: dict[Ref, Written | None] = {}
    implied: set[Ref] = set()
    shut: dict[Ref, Written] = {}
    for raw, lines in read.objects:
        resource, wrong = admitted(raw)
        if not _names_namespace(raw):
            implied |= {one.ref for one in (resource, *wrong) if one and one.ref and one.ref.namespace}
        findings += [located(finding, lines) for finding in wrong]
        if resource is None:
            rest = readable(raw)
            written = Written(rest, lines) if rest else None
            broken |= {finding.ref: written for finding in wrong if finding.ref}
            if (instead := closed(raw)) is not None:
                shut.setdefault(instead.ref, Written(instead, lines, stands_in=True))
        elif resource.ref in objects:
            findings.append(double(Written(resource, lines), objects[resource.ref]))
        else:
            objects[resource.ref] = Written(resource, lines)
    return Manifest(objects, tuple(findings), broken, read.whole, frozenset(implied), shut)


def _names_namespace(raw: Mapping[str, Any]) -> bool:
    metadata = raw.get("metadata")
    return isinstance(metadata, Mapping) and bool(metadata.get("namespace"))


def located(finding: Finding, lines: Lines) -> Finding:
    """The finding with the file and line of its field."""
    return replace(finding, file=lines.file, line=lines.line(finding.field) if finding.field else lines.start)


def double(second: Written, first: Written) -> Finding:
    """What is wrong where an object is written twice."""
    ref = second.resource.ref
    finding = Finding(
        code=codes.DUPLICATE_OBJECT,
        severity=Severity.ERROR,
        message=f"{ref} is already in {first.origin.file}, line {first.origin.line}: this one does not count",
        ref=ref,
        field="metadata.name",
        hint="Remove or rename one of the two",
    )
    return located(finding, second.lines)


def refused(file: str, why: str) -> Finding:
    """What is wrong with a file that was not read."""
    return Finding(
        code=codes.TOO_MUCH,
        severity=Severity.ERROR,
        message=why,
        hint="What the file said before, if anything, still counts",
        file=file,
    )
