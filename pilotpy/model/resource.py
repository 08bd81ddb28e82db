"""What every user's object has in common: who it is, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

import msgspec

S = TypeVar("S")


class Ref(NamedTuple):
    """Names one object: kind ("VirtualService"), namespace ("" if it has none), name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        path = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {path}"


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """Kubernetes' ObjectMeta, as far as a mesh reads it. Mappings are never changed."""

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    created: datetime | None = None  # None: written without one; counts as the oldest
    deleted: datetime | None = None  # set while the object is being deleted: a Pod that terminates
    owners: tuple[Owner, ...] = ()
    generate_name: str = ""


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """An object that this one belongs to; deleted with it."""

    kind: str
    name: str
    controller: bool = False  # at most one is


class Resource(msgspec.Struct, Generic[S], frozen=True):
    """One object as its author meant it: defaults filled in, units in types."""

    ref: Ref
    meta: Meta
    spec: S

    @property
    def age_order(self) -> tuple[float, str, str]:
        """Sort key: oldest first, then name, then namespace (Istio's order of precedence)."""
        created = self.meta.created
        return (created.timestamp() if created else 0.0, self.ref.name, self.ref.namespace)


class Severity(Enum):
    """How much a finding matters; values as `analyze` prints them."""

    ERROR = "Error"
    WARNING = "Warning"
    INFO = "Info"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a user should know about what they wrote. Never raised, never dropped."""

    code: str  # Istio's "IST0101" where the same thing is meant, else "PP0001"
    severity: Severity
    message: str  # one sentence, no final period
    ref: Ref | None = None  # None: no object could be made out, see file and line
    field: str = ""  # path inside the object: "spec.http[0].route[1].weight"
    hint: str = ""  # what mends it
    file: str = ""  # set where the finding is about a file; else the edge resolves ref + field
    line: int = 0  # 1-based; 0: unknown
