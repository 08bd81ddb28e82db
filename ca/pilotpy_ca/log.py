"""The fields of a log line: a sentence that is always the same, and beside it what it is about."""

from __future__ import annotations

from collections.abc import Mapping


def fields(**values: object) -> dict[str, Mapping[str, object]]:
    """What goes into `extra`: the fields of one line, under the name where pilotpy's formatters look for them."""
    return {"fields_of_record": values}
