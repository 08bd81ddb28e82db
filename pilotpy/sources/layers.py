"""Several sources that may have the same objects: each object is as the first of them says that has it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from pilotpy.model.resource import Ref, Resource
from pilotpy.sources.change import Change, Origin


class Ordered(Protocol):
    """What sources are called by; the least is the first."""

    def __lt__(self, other: Any, /) -> bool: ...

    def __hash__(self) -> int: ...


L = TypeVar("L", bound=Ordered)
_NOWHERE = Origin("", 0)


class Layers(Generic[L]):
    """What each of some sources says of each object."""

    def __init__(self) -> None:
        self._layers: dict[L, dict[Ref, Resource[Any]]] = {}  # in order

    def uppermost(self, layer: L, changes: Iterable[Change]) -> list[Change]:
        """Take in what one of them says. Returns what that changes of what is said by the first that says anything."""
        return list(self._taken(layer, changes))

    def replace(self, layer: L, changes: Iterable[Change]) -> list[Change]:
        """The same, where it says all that it holds: what is not among it is gone."""
        changes = list(changes)
        there = {change.ref for change in changes}
        held = self._layers.get(layer, {})
        gone = [Change(ref, _NOWHERE, one, None) for ref, one in held.items() if ref not in there]
        return self.uppermost(layer, gone + changes)

    def drop(self, layer: L) -> list[Change]:
        """One of them is no more."""
        changes = self.replace(layer, ())
        self._layers.pop(layer, None)
        return changes

    def _taken(self, layer: L, changes: Iterable[Change]) -> Iterator[Change]:
        if layer not in self._layers:
            self._layers = {key: self._layers.get(key, {}) for key in sorted((*self._layers, layer))}
        held = self._layers[layer]
        for ref, origin, _, new in changes:
            before = self._said(ref)
            if new is None:
                held.pop(ref, None)
            else:
                held[ref] = new
            after = self._said(ref)
            if before != after:
                yield Change(ref, origin, before, after)

    def _said(self, ref: Ref) -> Resource[Any] | None:
        return next((layer[ref] for layer in self._layers.values() if ref in layer), None)
