"""Which addresses several services listen at.

Kubernetes gives each of its Services a virtual address of its own; ServiceEntries say what they like, and an entry
gives its addresses to each of its hosts. Headless services listen at their endpoints, and may have them in common.
"""

from __future__ import annotations

from collections.abc import Iterable

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.endpoints import SLICES_BY_ADDRESS
from pilotpy.mesh.kinds import SERVICE_ENTRIES, SERVICES
from pilotpy.mesh.service_entries import ENTRIES_BY_ADDRESS
from pilotpy.mesh.virtual_addresses import listening_at
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.resource import Resource
from pilotpy.model.service_entry import ServiceEntry


def _by_written_address(entry: Resource[ServiceEntry]) -> Iterable[str]:
    return entry.spec.addresses


_ENTRIES = Index(SERVICE_ENTRIES, _by_written_address, "entries by written address")


@query
def is_contested(q: Asking, address: str, cluster: str) -> bool:
    """Whether services of several hosts listen at an address, for clients of a cluster ("": home)."""
    length = 128 if ":" in address else 32
    entries = [*q.by(_ENTRIES, address), *q.by(_ENTRIES, f"{address}/{length}")]
    entries += [entry for entry in q.by(ENTRIES_BY_ADDRESS, address) if not entry.spec.addresses]
    hosts = {host for entry in entries for host in entry.spec.hosts}
    headless = {key for key in _behind(q, address) if (found := q.get(SERVICES, *key)) and _is_headless(found)}
    return len(hosts) + len(listening_at(q, address, cluster)) + len(headless) > 1


def _behind(q: Asking, address: str) -> Iterable[tuple[str, str]]:
    """The names of the Services that have an endpoint there."""
    for piece in q.by(SLICES_BY_ADDRESS, address):
        yield piece.ref.namespace, piece.meta.labels.get("kubernetes.io/service-name", "")


def _is_headless(service: Resource[KubeService]) -> bool:
    return service.spec.cluster_ip == "None"
