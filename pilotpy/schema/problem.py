"""One thing that is wrong with an object, before it is known where the object was written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pilotpy.model.resource import Finding, Ref, Severity
from pilotpy.schema import codes


class Problem(NamedTuple):
    """One thing that is wrong."""

    field: str  # path inside the object
    message: str
    hint: str = ""
    code: str = codes.INVALID
    severity: Severity = Severity.ERROR

    def finding(self, ref: Ref | None, file: str = "", line: int = 0) -> Finding:
        """The same, said of an object or of a file."""
        return Finding(
            code=self.code,
            severity=self.severity,
            message=self.message,
            ref=ref,
            field=self.field,
            hint=self.hint,
            file=file,
            line=line,
        )


Problems = Iterator[Problem]
"""What is wrong, in the order in which it stands; empty: nothing."""


def warning(field: str, message: str, hint: str = "", code: str = codes.DUBIOUS) -> Problem:
    """Something that is likely not what its author means, but can be used."""
    return Problem(field, message, hint, code, Severity.WARNING)
