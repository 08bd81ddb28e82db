"""From a raw object that is refused to as much of it as can be read, for those who only look at it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from pilotpy.model.resource import Resource
from pilotpy.schema.decode import decode_object
from pilotpy.schema.paths import remove

_ROUNDS: Final = 3
"""What is wrong in one place may hide what is wrong in another."""


def readable(raw: Mapping[str, Any], *, namespace: str = "default") -> Resource[Any] | None:
    """The object without the fields that cannot be read; None if it is nothing without them. Never raises."""
    rest = deepcopy(dict(raw))
    for _ in range(_ROUNDS):
        resource, findings = decode_object(rest, namespace=namespace)
        if resource is not None:
            return resource
        # From the end, so that what is still to go keeps its place in lists.
        for field in sorted({finding.field for finding in findings}, reverse=True):
            try:
                remove(rest, field)
            except (LookupError, TypeError, ValueError):
                return None
    return None
