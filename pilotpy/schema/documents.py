"""A file's bytes as objects: YAML of several documents, JSON, and Lists, each with its lines.

Every document is read by itself: one that is broken yields a finding and loses none of the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from pilotpy.model.resource import Finding, Severity
from pilotpy.schema import codes, paths, yaml

MAX_BYTES: Final = 32 * 2**20
"""Larger files are refused: an API server takes objects of 1.5 MB, so they are not manifests."""

_HINTS: Final = {
    codes.UNREADABLE: "Mend this document; the others of the file are read",
    codes.DUPLICATE_KEY: "Keep one of the two",
    codes.TOO_MUCH: "Take the file away, if it holds no manifests, or divide it",
    codes.NOT_AN_OBJECT: "Take it away, or give it apiVersion, kind and metadata.name",
}

_SEPARATOR = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_SAYS_NOTHING = re.compile(r"(?:\s|#.*|%.*)*")


class Lines(msgspec.Struct, frozen=True, eq=False):
    """Where the fields of an object stand. Costs nothing until asked; may be asked at any time."""

    file: str
    text: str  # the whole document
    offset: int  # lines of the file before it
    root: str = ""  # path of the object in the document: "items[3]" in a List
    start: int = 1  # line (1-based) of the object in the file

    def line(self, path: str) -> int:
        """The line (1-based) of a field, or of what is nearest above it if it is not written."""
        try:
            known = _lines(self.text)
        except yaml.Refused:
            return self.start
        whole = self.root
        found = known.get(whole)
        for step in paths.steps(path):
            whole = paths.below(whole, step)
            found = known.get(whole, found)
        return self.offset + found if found else self.start


@lru_cache(maxsize=4)
def _lines(text: str) -> dict[str, int]:
    """Kept for a while, because several findings are mostly about one document."""
    return yaml.lines(text)


class Document(NamedTuple):
    """One object as written, not yet looked at."""

    raw: dict[str, Any]
    lines: Lines


class Documents(NamedTuple):
    """All that a file holds."""

    objects: tuple[Document, ...]  # in the file's order
    findings: tuple[Finding, ...]  # of documents that could not be read

    @property
    def whole(self) -> bool:
        """Nothing of the file was unreadable."""
        return not self.findings


def documents(content: bytes | str, file: str) -> Documents:
    """The objects in the content of a file. Never raises."""
    objects: list[Document] = []
    findings: list[Finding] = []
    try:
        text = _text(content)
    except yaml.Refused as refused:
        return Documents((), (_finding(refused, file, 0),))
    for chunk, offset in _chunks(text):
        try:
            for raw, start in _values(chunk):
                lines = Lines(file, chunk, offset, start=offset + start)
                objects += _objects(raw, lines)
        except yaml.Refused as refused:
            findings.append(_finding(refused, file, offset))
    return Documents(tuple(objects), tuple(findings))


def _text(content: bytes | str) -> str:
    if len(content) > MAX_BYTES:
        raise yaml.Refused(codes.TOO_MUCH, f"Larger than {MAX_BYTES >> 20} MiB, not read", 0)
    if isinstance(content, bytes):
        try:
            content = content.decode()
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise yaml.Refused(codes.TOO_MUCH, "Not text in UTF-8, not read", line) from None
    if "\0" in content:
        raise yaml.Refused(codes.TOO_MUCH, "Binary, not read", content.count("\n", 0, content.index("\0")) + 1)
    return content.removeprefix("\ufeff")


def _chunks(text: str) -> Iterator[tuple[str, int]]:
    """The documents that "---" separates, each with the number of lines before it."""
    starts = [0, *(match.start() for match in _SEPARATOR.finditer(text))]
    offset = 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        chunk = text[start:end]
        if not _SAYS_NOTHING.fullmatch(chunk.removeprefix("---")):
            yield chunk, offset
        offset += chunk.count("\n")


def _values(chunk: str) -> Iterator[tuple[Any, int]]:
    if chunk.lstrip().startswith("{"):
        try:
            yield _json(chunk), 1
        except (ValueError, RecursionError):  # a template, or YAML that looks alike
            yield from yaml.values(chunk)
    else:
        yield from yaml.values(chunk)


def _json(text: str) -> Any:
    value = json.loads(text, object_pairs_hook=_mapping, parse_constant=_refuse)
    if _deeper(value, yaml.MAX_DEPTH):
        raise ValueError("too deep")
    return value


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")  # YAML's reader says which, and where
    return result


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _deeper(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(layer)


def _objects(raw: Any, lines: Lines) -> Iterator[Document]:
    """The object, or the objects of the List, that a document holds."""
    if raw is None:
        return
    if not isinstance(raw, dict):
        raise yaml.Refused(
            codes.NOT_AN_OBJECT,
            "Not an object: expected a mapping with apiVersion and kind",
            lines.start - lines.offset,
        )
    kind, items = raw.get("kind"), raw.get("items")
    if not (isinstance(kind, str) and kind.endswith("List") and isinstance(items, list)):
        yield Document(raw, lines)
        return
    for i, item in enumerate(items):
        root = paths.below(paths.below(lines.root, "items"), i)
        within = msgspec.structs.replace(lines, root=root)
        if not isinstance(item, dict):
            raise yaml.Refused(codes.NOT_AN_OBJECT, f"Not an object: item {i} of {kind}", lines.start - lines.offset)
        # Items of a typed List, such as an API server gives, leave out what the List says.
        named = {"apiVersion": raw.get("apiVersion"), "kind": kind.removesuffix("List")} if kind != "List" else {}
        yield Document(named | item, within)


def _finding(refused: yaml.Refused, file: str, offset: int) -> Finding:
    return Finding(
        code=refused.code,
        severity=Severity.ERROR,
        message=refused.message,
        hint=_HINTS[refused.code],
        file=file,
        line=offset + refused.line if refused.line else 0,
    )
