"""What a compiler hands to the edges, and what an edge may ask of a compiler.

The seam between the process that compiles and those that hold streams: nothing here knows an engine or a socket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from pilotpy.compile.encoded import Tree
from pilotpy.mesh.service import Locality
from pilotpy.mesh.view import Identity
from pilotpy.xds.names import NO_NAMES, Names


class Node(NamedTuple):
    """How a client introduced itself: envoy.config.core.v3.Node, as far as it decides what the client is given."""

    id: str
    metadata: Mapping[str, Any]
    locality: Locality = Locality()
    extensions: tuple[str, ...] = ()
    identity: Identity | None = None  # what it has proved; all else it merely says


class Publication(NamedTuple):
    """Everything that one proxy is given, at one revision."""

    revision: int
    version: str  # of the revision, for people: "2026-08-22T15:00:18Z/42"
    trees: Mapping[str, Tree]  # by type URL; a type that is not compiled (yet) is absent


NOTHING_YET = Publication(0, "", {})


class Unacceptable(Exception):
    """A node that says something malformed about itself; the message says what."""


class Seat(Protocol):
    """One stream's place at the compiler."""

    @property
    def publication(self) -> Publication:
        """The latest for this proxy. Holds the types wanted so far as soon as they are compiled."""
        ...

    def want(self, type_url: str, names: Names = NO_NAMES) -> None:
        """Ask for a type of resources, from now on. Unknown ones never come.

        `names` count for the few types whose resources are looked up only for who asks for them: secrets.
        """
        ...

    def leave(self) -> None:
        """Give the place back. Must be called once."""
        ...


class Compiler(Protocol):
    """Says what proxies are given, and wakes those for whom that changed."""

    @property
    def ready(self) -> bool:
        """Whether every source has been read and compiled once."""
        ...

    def connect(self, connection: str, node: Node, wake: Callable[[], None]) -> Seat:
        """A place for one stream. `wake` is called, in the caller's loop, whenever `publication` is a new one.

        `connection` is unique among streams. Raises `Unacceptable`.
        """
        ...
