"""Who made whom, among written objects: a dump of a cluster holds a Deployment, its ReplicaSets and their Pods.

Without this every Pod of a dump would be there twice: as written, and as made anew from its workload.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from pilotpy.model.resource import Ref, Resource

_HASH = "pod-template-hash"


class Family:
    """Written objects by the controllers that they name; these need not be written themselves."""

    def __init__(self) -> None:
        self._children: defaultdict[Ref, set[Ref]] = defaultdict(set)
        self._parents: dict[Ref, tuple[Ref, ...]] = {}

    def put(self, ref: Ref, resource: Resource[Any] | None) -> set[Ref]:
        """Take note of an object, or of its end (None). Returns who may be concerned: its relatives, before and now."""
        relatives = set(self.ancestors(ref)) | self.descendants(ref)
        for parent in self._parents.pop(ref, ()):
            self._children[parent].discard(ref)
        parents = tuple(_parents(resource)) if resource else ()
        if parents:
            self._parents[ref] = parents
        for parent in parents:
            self._children[parent].add(ref)
        return relatives | set(self.ancestors(ref))

    def ancestors(self, ref: Ref) -> Iterator[Ref]:
        """The controllers of an object and theirs, nearest first; written or not. A loop ends where it closes."""
        seen = {ref}
        known = [*self._parents.get(ref, ())]
        for parent in known:
            if parent not in seen:
                seen.add(parent)
                yield parent
                known += self._parents.get(parent, ())

    def descendants(self, ref: Ref) -> set[Ref]:
        """All written objects that were made by or for this one; may be empty."""
        found: set[Ref] = set()
        known = [ref]
        for parent in known:
            known += (children := self._children.get(parent, set()) - found)
            found |= children
        return found


def _parents(resource: Resource[Any]) -> Iterator[Ref]:
    for owner in resource.meta.owners:
        if not owner.controller:
            continue
        yield Ref(owner.kind, resource.ref.namespace, owner.name)
        # A dump may lack the ReplicaSet between a Pod and its Deployment.
        hashed = resource.meta.labels.get(_HASH)
        if hashed and owner.kind == "ReplicaSet" and owner.name.endswith(f"-{hashed}"):
            yield Ref("Deployment", resource.ref.namespace, owner.name.removesuffix(f"-{hashed}"))
