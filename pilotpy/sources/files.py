"""Files of YAML and JSON as objects: what they say now, or said last where they are broken.

Two steps, so that a file which turns out to be half-written can be thrown away between them:
``scan`` looks at the disk and reads what differs, ``take`` turns that into changes. A file or a
document that breaks keeps the objects that it held last, with a finding that says so; a root that
vanishes keeps all of its own.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.schema import codes
from pilotpy.schema.decode import decode_object
from pilotpy.schema.documents import MAX_BYTES, Lines, documents
from pilotpy.sources.change import Change, Origin

SUFFIXES = (".yaml", ".yml", ".json")

_KEPT = "what it said before still counts"


class Stamp(NamedTuple):
    """What tells one content of a file from the next, short of reading it."""

    modified_ns: int
    size: int
    inode: int


class Scan(NamedTuple):
    """A look at the disk. Files that were left out of it are in neither."""

    contents: Mapping[Path, tuple[Stamp, bytes | str]]  # of new and changed files; text: why it could not be read
    gone: frozenset[Path]  # files that were there before
    vanished: frozenset[Path]  # roots that are not there


class Held(NamedTuple):
    """An object of a file."""

    resource: Resource[Any]
    lines: Lines


class _File(msgspec.Struct):
    """What a file said last."""

    stamp: Stamp
    objects: dict[Ref, Held] = {}  # in the file's order; the first of each name
    findings: list[Finding] = []


class Files:
    """The objects of files and folders, hidden ones aside. Where two have one name, the first by path counts."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self.roots = tuple(dict.fromkeys(roots))
        self._files: dict[Path, _File] = {}
        self._holders: defaultdict[Ref, set[Path]] = defaultdict(set)
        self._counts: dict[Ref, Path] = {}  # which of the holders counts
        self._vanished: frozenset[Path] = frozenset()

    def scan(self, *, only: Collection[Path] | None = None, without: Collection[Path] = ()) -> Scan:
        """What differs on the disk from what was taken last: of all files, or of some. May block; changes nothing."""
        vanished = self._vanished if only is not None else frozenset(root for root in self.roots if not root.exists())
        there = [path for path in only if path.is_file()] if only is not None else self._walk()
        contents = {}
        for path in there:
            known = self._files.get(path)
            if path not in without and (found := _read(path, known.stamp if known else None)):
                contents[path] = found
        missing = (self._files.keys() if only is None else self._files.keys() & set(only)) - set(there)
        gone = frozenset(path for path in missing if not any(_is_in(path, root) for root in vanished))
        return Scan(contents, gone - set(without), vanished)

    def take(self, scan: Scan) -> list[Change]:
        """Accept what a scan found. Returns what that changes, each object once; works without the disk."""
        self._vanished = scan.vanished
        concerned: dict[Ref, Held | None] = {}
        for path in scan.gone:
            self._put(path, None, concerned)
        for path, (stamp, content) in sorted(scan.contents.items()):
            self._put(path, self._parsed(path, stamp, content), concerned)
        return list(filter(None, (self._change(ref, held) for ref, held in sorted(concerned.items()))))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that is wrong with the files now, by file and line."""
        found = [finding for path in sorted(self._files) for finding in self._files[path].findings]
        found += [finding for ref in sorted(self._holders) for finding in self._doubles(ref)]
        found += [_vanished(root) for root in sorted(self._vanished)]
        return tuple(sorted(found, key=lambda finding: (finding.file, finding.line)))

    def held(self, ref: Ref) -> Held | None:
        """The object of a name that counts."""
        path = self._counts.get(ref)
        return self._files[path].objects[ref] if path else None

    def where(self, ref: Ref, field: str = "") -> Origin | None:
        """File and line of a field of an object, or of what is nearest above it; None: nobody wrote the object."""
        held = self.held(ref)
        return Origin(held.lines.file, held.lines.line(field) if field else held.lines.start) if held else None

    def _walk(self) -> list[Path]:
        found: dict[Path, None] = {}
        for root in self.roots:
            found |= dict.fromkeys(files_in(root) if root.is_dir() else [root] if root.exists() else [])
        return list(found)

    def _parsed(self, path: Path, stamp: Stamp, content: bytes | str) -> _File:
        last = self._files.get(path) or _File(stamp)
        if isinstance(content, str):
            hint = f"Mend the file; {_KEPT}" if last.objects else "Mend the file"
            refused = Finding(
                code=codes.TOO_MUCH, severity=Severity.ERROR, message=content, hint=hint, file=str(path), line=0
            )
            return _File(stamp, last.objects, [refused])
        read = documents(content, str(path))
        file = _File(stamp, {}, list(read.findings))
        broken: set[Ref] = set()
        for document in read.objects:
            resource, findings = decode_object(document.raw)
            file.findings += [_located(finding, document.lines) for finding in findings]
            if resource is None:
                broken |= {finding.ref for finding in findings if finding.ref}
            elif resource.ref in file.objects:
                file.findings.append(_double(resource.ref, document.lines, file.objects[resource.ref].lines))
            else:
                file.objects[resource.ref] = Held(resource, document.lines)
        for ref, held in last.objects.items():
            # A document that cannot even be read might be any of those that are missed.
            if ref in broken or not read.whole:
                file.objects.setdefault(ref, held)
        return file

    def _put(self, path: Path, file: _File | None, concerned: dict[Ref, Held | None]) -> None:
        for ref in self._files[path].objects if path in self._files else ():
            concerned.setdefault(ref, self.held(ref))
        for ref in file.objects if file else ():
            concerned.setdefault(ref, self.held(ref))
        for ref in self._files.pop(path, _File(Stamp(0, 0, 0))).objects:
            self._holders[ref].discard(path)
        if file:
            self._files[path] = file
            for ref in file.objects:
                self._holders[ref].add(path)

    def _change(self, ref: Ref, old: Held | None) -> Change | None:
        holders = self._holders[ref]
        if holders:
            self._counts[ref] = min(holders)
        else:
            del self._holders[ref]
            self._counts.pop(ref, None)
        new = self.held(ref)
        if (old and old.resource) == (new and new.resource):
            return None
        one = new or old
        assert one is not None, "they would be equal"
        origin = Origin(one.lines.file, one.lines.start)
        return Change(ref, origin, old.resource if old else None, new.resource if new else None)

    def _doubles(self, ref: Ref) -> Iterator[Finding]:
        first, *others = sorted(self._holders[ref])
        for path in others:
            yield _double(ref, self._files[path].objects[ref].lines, self._files[first].objects[ref].lines)


def files_in(folder: Path) -> Iterator[Path]:
    """The files of a folder and of all in it, sorted, without hidden ones. Follows links, but not in circles."""
    seen = set()
    waiting = [folder]
    found = []
    while waiting:
        entries = waiting.pop()
        real = entries.resolve()
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(entries) as listed:
                for entry in listed:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        waiting.append(entries / entry.name)
                    elif entry.name.endswith(SUFFIXES):
                        found.append(entries / entry.name)
        except OSError:  # gone, or not ours to read, since its parent was listed
            continue
    yield from sorted(found)


def _read(path: Path, known: Stamp | None) -> tuple[Stamp, bytes | str] | None:
    """The content of a file, or why it cannot be read; None: it is as known, or not a file (any more)."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            stamp = Stamp(status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == known or not stat.S_ISREG(status.st_mode):
                return None
            if status.st_size > MAX_BYTES:
                return stamp, f"Larger than {MAX_BYTES >> 20} MiB, not read"
            return stamp, file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        stamp = Stamp(0, 0, 0)
        return None if stamp == known else (stamp, f"Not readable: {error.strerror}")


def _is_in(path: Path, root: Path) -> bool:
    return path == root or root in path.parents


def _located(finding: Finding, lines: Lines) -> Finding:
    line = lines.line(finding.field) if finding.field else lines.start
    return msgspec.structs.replace(finding, file=lines.file, line=line)


def _double(ref: Ref, second: Lines, first: Lines) -> Finding:
    return Finding(
        code=codes.DUPLICATE_OBJECT,
        severity=Severity.ERROR,
        message=f"{ref} is already in {first.file}, line {first.start}: this one does not count",
        ref=ref,
        field="metadata.name",
        hint="Remove or rename one of the two",
        file=second.file,
        line=second.line("metadata.name"),
    )


def _vanished(root: Path) -> Finding:
    return Finding(
        code=codes.UNREADABLE,
        severity=Severity.ERROR,
        message=f"There is no file or folder {root}",
        hint=f"Bring it back; {_KEPT}",
        file=str(root),
    )
