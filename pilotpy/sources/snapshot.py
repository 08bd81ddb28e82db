"""A cluster as it was when somebody looked, and files over it: what the cluster would hold once they were applied.

Files say what is written in them. What controllers make of it is for the cluster's own: the Pods and endpoints that a
folder's stand-ins would make are left out, and a Service that the cluster has keeps the address that it has there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from pilotpy.model.resource import Finding
from pilotpy.sources.change import Change
from pilotpy.sources.folder import Folder
from pilotpy.sources.together import Joined


class Snapshot(NamedTuple):
    """A cluster and those that it names, once."""

    said: Sequence[Sequence[Change]]  # by each source of them, the strongest first
    findings: tuple[Finding, ...] = ()  # in no order
    cluster: str = ""  # as its proxies call it
    revision: str = ""  # of the control plane whose objects count

    def under(self, folder: Folder) -> list[Change]:
        """All that counts, with the files of a folder over it. Reads them."""
        joined = Joined(self.revision)
        changes = joined.taken(0, self._written(folder))
        return changes + [one for layer, said in enumerate(self.said, 1) for one in joined.taken(layer, said)]

    def wrong(self, folder: Folder) -> tuple[Finding, ...]:
        """What is wrong with either, but for objects of the cluster that the folder has, too; in no order."""
        here = (one for one in self.findings if one.ref is None or folder.where(one.ref) is None)
        return (*folder.findings, *here)

    def _written(self, folder: Folder) -> Iterable[Change]:
        addressed = {
            change.ref: change.new.spec
            for said in self.said
            for change in said
            if change.ref.kind == "Service" and change.new is not None and change.new.spec.cluster_ip
        }
        for change in folder.load():
            if folder.made(change.ref):
                continue
            there, new = addressed.get(change.ref), change.new
            if there is not None and new is not None and new.spec.type != "ExternalName":
                kept = {name: getattr(there, name) for name in ("cluster_ip", "cluster_ips", "ip_families")}
                yield change._replace(new=replace(new, spec=replace(new.spec, **kept)))
            else:
                yield change
