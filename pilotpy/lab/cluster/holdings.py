"""What an API server holds, as far as the controllers of a lab read it, and who belongs to whom. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pilotpy.lab.cluster.objects import Held
from pilotpy.model.resource import Ref, Resource


class Holdings:
    """All objects by name."""

    def __init__(self) -> None:
        self._held: dict[Ref, Resource[Held]] = {}
        self._owned: defaultdict[str, set[Ref]] = defaultdict(set)  # by the uid of the owner
        self._uids: set[str] = set()

    def __contains__(self, ref: Ref) -> bool:
        return ref in self._held

    def get(self, ref: Ref) -> Resource[Held] | None:
        """An object; None: there is none of that name."""
        return self._held.get(ref)

    def put(self, ref: Ref, old: Resource[Held] | None, new: Resource[Held] | None) -> set[Ref]:
        """Take in what became of an object. Returns others that it may concern."""
        concerned: set[Ref] = set()
        if old is not None:
            concerned |= self._owned.get(old.spec.uid, set())
            self._uids.discard(old.spec.uid)
            if old.spec.owner is not None:
                self._owned[old.spec.owner.uid].discard(ref)
            del self._held[ref]
        if new is not None:
            concerned |= self._owned.get(new.spec.uid, set())
            self._uids.add(new.spec.uid)
            if new.spec.owner is not None:
                self._owned[new.spec.owner.uid].add(ref)
            self._held[ref] = new
        if ref.kind == "Namespace":
            concerned |= {one for one in self._held if one.namespace == ref.name}
        return concerned

    def namespace(self, ref: Ref) -> Resource[Held] | None:
        """The namespace of an object; of a namespace itself."""
        return self._held.get(Ref("Namespace", "", ref.namespace or ref.name))

    def owned(self, owner: Resource[Held], kind: str) -> Iterator[Resource[Held]]:
        """The objects of a kind whose controller an object is, in no order."""
        return (self._held[ref] for ref in self._owned.get(owner.spec.uid, ()) if ref.kind == kind)

    def is_orphan(self, one: Resource[Held]) -> bool:
        """Whether the controller that an object names is gone."""
        return one.spec.owner is not None and one.spec.owner.uid not in self._uids
