"""One thing that is wrong with an object, before it is known where the object was written."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

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


MOST_PROBLEMS: Final = 100
"""Said of one object; after that, a word that there are more."""


def bounded(problems: Problems) -> list[Problem]:
    """The problems, if they are not too many to be of use; else the first ones, and an error that says so."""
    found = list(islice(problems, MOST_PROBLEMS + 1))
    if len(found) > MOST_PROBLEMS:
        found[-1] = Problem(
            found[-1].field, f"More than {MOST_PROBLEMS} problems: the rest is not looked at", "Mend these first"
        )
    return found


def warning(field: str, message: str, hint: str = "", code: str = codes.DUBIOUS) -> Problem:
    """Something that is likely not what its author means, but can be used."""
    return Problem(field, message, hint, code, Severity.WARNING)
