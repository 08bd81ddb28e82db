"""A query: a pure function of inputs and of other queries, whose answers the engine keeps.

The first parameter of the function is ``q``, the only way to read; the others are its key and
must be hashable, small and positional. What a query returns is immutable, compared with ``==``
and must not be lazy (a generator would read after the recording has ended).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Concatenate, Generic, ParamSpec, TypeVar, overload

if TYPE_CHECKING:
    from pilotpy.engine.asking import Asking

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Key = tuple[Hashable, ...]


class Query(Generic[P, T_co]):
    """A function that the engine asks, and what stands in for its answer when it fails."""

    __slots__ = ("name", "otherwise", "run")

    def __init__(self, run: Callable[Concatenate[Asking, P], T_co], otherwise: Callable[P, T_co] | None = None) -> None:
        self.run = run
        self.otherwise = otherwise
        self.name = f"{run.__module__}.{run.__qualname__}"

    def __repr__(self) -> str:
        return f"<query {self.name}>"


@overload
def query(run: Callable[Concatenate[Asking, P], T]) -> Query[P, T]: ...
@overload
def query(*, otherwise: Callable[P, T]) -> Callable[[Callable[Concatenate[Asking, P], T]], Query[P, T]]: ...
def query(
    run: Callable[Concatenate[Asking, P], T] | None = None,
    *,
    otherwise: Callable[P, T] | None = None,
) -> Query[P, T] | Callable[[Callable[Concatenate[Asking, P], T]], Query[P, T]]:
    """Make a function a query.

    ``otherwise`` declares a leaf that may fail: it gets the query's arguments and returns the
    safe answer that stands in, and the failure becomes a note (``Failure``). Without it an
    exception travels to the nearest asker that has one.
    """
    if run is not None:
        return Query(run)

    def declared(function: Callable[Concatenate[Asking, P], T]) -> Query[P, T]:
        return Query(function, otherwise)

    return declared
