"""What an API server sends, as far as a mesh reads it: lists, watch events, and what all objects have in common.

Other fields are skipped, not decoded: managedFields, last-applied configurations and most of a status make up nine
tenths of a Pod.

Source  kubernetes apimachinery meta/v1/types.go (ObjectMeta, ListMeta, Status, WatchEvent).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from sys import intern
from typing import Final, NamedTuple, TypeVar

import msgspec

from pilotpy.model.resource import Finding, Meta, Owner, Ref, Resource
from pilotpy.sources.kubernetes.trouble import Refused

JSON: Final = "application/json"

_OURS: Final = "istio.io/"  # annotations of others say nothing to a mesh, and change all the time


class Wire(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """JSON of which only the fields that are used are listed. Lists may be null: Go's empty ones are."""


W = TypeVar("W", bound=Wire)


class _ListMeta(Wire, frozen=True):
    resource_version: str = ""
    more: str = msgspec.field(default="", name="continue")


class Page(Wire, frozen=True):
    """Part of a collection."""

    metadata: _ListMeta
    items: tuple[msgspec.Raw, ...] | None = None


class _GroupVersion(Wire, frozen=True):
    version: str


class _Group(Wire, frozen=True):
    name: str
    versions: tuple[_GroupVersion, ...]


class Groups(Wire, frozen=True):
    """Which groups of kinds an API server has, and in which versions."""

    groups: tuple[_Group, ...]

    def serve(self, group: str, versions: Collection[str]) -> bool:
        """Whether a group is among them, in one of some versions."""
        return any(one.version in versions for found in self.groups if found.name == group for one in found.versions)


class _Served(Wire, frozen=True):
    name: str
    served: bool


class _DefinitionSpec(Wire, frozen=True):
    versions: tuple[_Served, ...]


class Definition(Wire, frozen=True):
    """A CustomResourceDefinition: in which versions a kind is served."""

    spec: _DefinitionSpec

    def serves(self, versions: Collection[str]) -> bool:
        """Whether it is in one of some versions."""
        return any(one.served and one.name in versions for one in self.spec.versions)


class Event(Wire, frozen=True):
    """One line of a watch."""

    type: str  # "ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"
    object: msgspec.Raw


class Status(Wire, frozen=True):
    """The API's own words about an error."""

    message: str = ""
    reason: str = ""
    code: int = 0

    def refusal(self, status: int = 0, retry_after: timedelta | None = None) -> Refused:
        """The same, to be raised."""
        return Refused(self.code or status, self.message[:500], self.reason, retry_after)


class _Version(Wire, frozen=True):
    resource_version: str = ""


class Versioned(Wire, frozen=True):
    """Any object: which version of the collection it brings."""

    metadata: _Version = _Version()


class _OwnerReference(Wire, frozen=True):
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class Metadata(Wire, frozen=True):
    """Who an object is."""

    name: str
    namespace: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    owner_references: tuple[_OwnerReference, ...] | None = None

    def ref(self, kind: str) -> Ref:
        """The name of the object."""
        return Ref(kind, intern(self.namespace), self.name)

    def meta(self) -> Meta:
        """The same as others know it."""
        owners = self.owner_references or ()
        annotations = self.annotations or {}
        return Meta(
            name=self.name,
            namespace=intern(self.namespace),
            labels=self.labels or {},
            annotations={key: text for key, text in annotations.items() if _OURS in key},
            created=self.creation_timestamp,
            deleted=self.deletion_timestamp,
            owners=tuple(Owner(kind=one.kind, name=one.name, controller=True) for one in owners if one.controller),
        )


class Named(Wire, frozen=True):
    """Any object: its name and no more."""

    metadata: Metadata


class Read(NamedTuple):
    """What became of one object."""

    ref: Ref | None  # None: not even its name can be read
    resource: Resource[object] | None  # None: it cannot be used
    findings: tuple[Finding, ...] = ()
    instead: Resource[object] | None = None  # stands in where it cannot be used, and nothing good is known


def _decoded(of: type[W]) -> Callable[[bytes | msgspec.Raw], W]:
    """What decodes JSON of one type. It raises msgspec.DecodeError, also for what is nested too deep to be skipped."""
    decode = msgspec.json.Decoder(of).decode

    def decoded(text: bytes | msgspec.Raw) -> W:
        try:
            return decode(text)
        except RecursionError as error:
            raise msgspec.DecodeError("nested too deep") from error

    return decoded


page: Final = _decoded(Page)
groups: Final = _decoded(Groups)
definition: Final = _decoded(Definition)
event: Final = _decoded(Event)
versioned: Final = _decoded(Versioned)
status: Final = _decoded(Status)
named: Final = _decoded(Named)
