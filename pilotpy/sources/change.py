"""What a source says: this object is now so, or gone."""

from __future__ import annotations

from typing import Any, NamedTuple

from pilotpy.model.resource import Ref, Resource


class Origin(NamedTuple):
    """Where an object was written. What was made for it says the same."""

    file: str
    line: int  # 1-based; 0: unknown


class Change(NamedTuple):
    """One object of a source, before and after."""

    ref: Ref
    origin: Origin
    old: Resource[Any] | None  # None: it is new
    new: Resource[Any] | None  # None: it is gone
