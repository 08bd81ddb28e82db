"""Findings as the Python API and the commands give them: with file and line, in order, and as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from pilotpy.engine import Failure
from pilotpy.model.resource import Finding, Severity
from pilotpy.sources.folder import Folder


def located(note: object, folder: Folder) -> Finding | None:
    """Return a note of the engine as a finding with file and line; None if it is none."""
    if isinstance(note, Failure):
        return Finding(
            code="PP0500",
            severity=Severity.ERROR,
            message=f"Internal error in {note.query}{note.key}: {note.reason}; its stand-in is served",
            hint="Please report this with the files that show it",
        )
    if not isinstance(note, Finding):
        return None
    if note.file or note.ref is None:
        return note
    origin = folder.where(note.ref, note.field)
    return msgspec.structs.replace(note, file=origin.file, line=origin.line) if origin else note


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings sorted, the gravest first, then by file and line; each once."""
    order = {severity: at for at, severity in enumerate(Severity)}
    return tuple(
        sorted(
            set(findings),
            key=lambda f: (order[f.severity], f.file, f.line, f.code, f.ref or ("", "", ""), f.field, f.message),
        )
    )


def plain_finding(finding: Finding) -> dict[str, Any]:
    """Return a finding as the commands print it."""
    ref = finding.ref
    return {
        "code": finding.code,
        "level": finding.severity.value,
        "message": finding.message,
        "resource": {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name}
        if ref
        else {"kind": "", "namespace": "", "name": ""},
        "field": finding.field,
        "file": finding.file,
        "line": finding.line,
        "hint": finding.hint,
    }
