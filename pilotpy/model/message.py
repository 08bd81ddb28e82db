"""What the structs of APIs have in common: how JSON names, durations and integers are read.

The forms are those of the ProtoJSON mapping (protobuf.dev/programming-guides/json): lowerCamelCase
names, wrappers as plain values, enums by name, absent fields as their defaults.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar

import msgspec

UInt32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
UInt64 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # the upper half is of no use to a mesh
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Duration(timedelta):
    """A span of time as users write it, "1.5s" or "1h30m", to the microsecond."""


class ShortDuration(Duration):
    """A span of time in up to four whole numbers with units, "1h30m" or "1s500ms", to the millisecond (GEP-2257)."""


class Message(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, repr_omit_defaults=True):
    """A message of an API of which every field is listed; others are unknown fields."""


class Choice(Message, frozen=True):
    """A message in which some fields exclude each other: protobuf's oneof, its members None unless set."""

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def __post_init__(self) -> None:
        for names in self.exclusive:
            chosen = [name for name in names if getattr(self, name) is not None]
            if len(chosen) > 1:
                raise ValueError(f"Only one of {', '.join(names)} may be set")


class Declared(Choice, frozen=True):
    """A message that definitions declare: what has no default is required, and API servers write the defaults out."""


class Part(msgspec.Struct, frozen=True, rename="camel", repr_omit_defaults=True):
    """A message of an API of which only what a mesh reads is listed; other fields are passed over."""
