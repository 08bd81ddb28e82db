"""The finding that something does not exist which an object refers to."""

from __future__ import annotations

from pilotpy.model.resource import Finding, Ref, Severity


def missing(ref: Ref, field: str, what: str, name: str, hint: str) -> Finding:
    """Return Istio's IST0101: ``what`` kind of thing is named so by a field of an object, and is not there."""
    return Finding(
        code="IST0101",
        severity=Severity.ERROR,
        message=f'Referenced {what} not found: "{name}"',
        ref=ref,
        field=field,
        hint=hint,
    )
