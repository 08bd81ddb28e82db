"""``exportTo``: which namespaces see an object.

From what users write to resolved sets, and to the buckets of the indexes that answer "what does
this namespace see that others do not" without a scan. Follows the visibility rules of Istio's
push context (``pilot/pkg/model/push_context.go``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final

Exports = frozenset[str]  # "*", or "~" (nobody), or the names of namespaces; never "."

PUBLIC: Final[Exports] = frozenset({"*"})
NOBODY: Final[Exports] = frozenset({"~"})


class Exporting(Enum):
    """What kinds of object have a mesh-wide default for their ``exportTo``."""

    SERVICE = "Service"
    DESTINATION_RULE = "DestinationRule"
    VIRTUAL_SERVICE = "VirtualService"


class Reach(Enum):
    """The buckets of an export index: (reach, namespace)."""

    PUBLIC = "public"  # by the object's own namespace: exported to all
    UNSAID = "unsaid"  # by the object's own namespace: says nothing, the mesh's default decides
    NAMED = "named"  # by the namespace that it is exported to, which may be its own


def exports(written: Sequence[str], namespace: str, default: Sequence[str]) -> Exports:
    """Return who sees an object of ``namespace``: ``*`` wins over ``~``, which wins over names."""
    said = written or default
    if "*" in said:
        return PUBLIC
    if "~" in said:
        return NOBODY
    return frozenset(namespace if name == "." else name for name in said)


def sees(namespace: str, seen_by: Exports) -> bool:
    """Tell whether a client of ``namespace`` sees an object."""
    return namespace in seen_by or "*" in seen_by


def reaches(written: Sequence[str], namespace: str) -> Iterable[tuple[str, str]]:
    """Yield the buckets of an export index that an object falls into; none if nobody sees it."""
    if not written:
        yield (Reach.UNSAID.value, namespace)
        return
    for name in sorted(exports(written, namespace, ())):
        if name == "*":
            yield (Reach.PUBLIC.value, namespace)
        elif name != "~":
            yield (Reach.NAMED.value, name)
