"""A stream's place at a compiler in its own process: what it asks for, what it holds, and what is fresh for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol

from pilotpy.compile.encoded import Tree
from pilotpy.engine import Query
from pilotpy.mesh.view import View
from pilotpy.xds.names import NO_NAMES, Names
from pilotpy.xds.publication import NOTHING_YET, Publication

Asked = tuple[Query[..., Any], tuple[Hashable, ...]]  # a query and its arguments


class Host(Protocol):
    """Who gives places: the compiler."""

    def asked(self, url: str, view: View, names: Names) -> Asked | None:
        """The query whose answer a proxy is given; None: nobody answers that type."""
        ...

    def hold(self, asked: Asked, seat: LocalSeat, url: str) -> None:
        """Keep an answer for a seat, as a type."""
        ...

    def release(self, asked: Asked, seat: LocalSeat, url: str) -> None:
        """Keep it no longer."""
        ...

    def leave(self, seat: LocalSeat) -> None:
        """A stream is over."""
        ...


class LocalSeat:
    """Implements `publication.Seat`."""

    def __init__(self, compiler: Host, connection: str, wake: Callable[[], None]) -> None:
        self.connection = connection
        self.publication = NOTHING_YET
        self.asked: dict[str, Asked] = {}  # by type URL
        self.fresh: dict[str, Tree] = {}  # not yet published, by type URL
        self.moving = False  # the view changed: what is fresh belongs together
        self._compiler = compiler
        self._wake = wake
        self._wanted: dict[str, Names] = {}
        self._view: View | None = None

    def want(self, type_url: str, names: Names = NO_NAMES) -> None:
        """Ask for a type; see `Seat.want`."""
        if self._wanted.get(type_url) is not names:  # equal names are one object
            self._wanted[type_url] = names
            if self._view is not None:
                self._turn_to(type_url, self._view)

    def leave(self) -> None:
        """Give the place back."""
        self._compiler.leave(self)

    def moved(self, view: View) -> None:
        """The proxy's view is another one."""
        if view == self._view:
            return
        self.moving = self._view is not None
        self._view = view
        for url in self._wanted:
            self._turn_to(url, view)

    def publish(self, publication: Publication) -> None:
        """Hand a publication to the edge."""
        self.publication = publication
        self._wake()

    def _turn_to(self, url: str, view: View) -> None:
        asked, before = self._compiler.asked(url, view, self._wanted[url]), self.asked.get(url)
        if asked == before or asked is None:
            return
        self.asked[url] = asked
        self._compiler.hold(asked, self, url)
        if before is not None:
            self._compiler.release(before, self, url)
