"""Which services claim the same virtual address.

Kubernetes gives each of its Services one of their own; ServiceEntries say what they like, and an entry gives its
addresses to each of its hosts.
"""

from __future__ import annotations

from collections.abc import Iterable

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.kinds import SERVICE_ENTRIES, SERVICES
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.resource import Resource
from pilotpy.model.service_entry import ServiceEntry


def _by_vip(service: Resource[KubeService]) -> Iterable[str]:
    return {address for address in (service.spec.cluster_ip, *service.spec.cluster_ips) if address not in {"", "None"}}


def _by_written_address(entry: Resource[ServiceEntry]) -> Iterable[str]:
    return entry.spec.addresses


_SERVICES = Index(SERVICES, _by_vip, "services by virtual address")
_ENTRIES = Index(SERVICE_ENTRIES, _by_written_address, "entries by written address")


@query
def is_contested(q: Asking, address: str) -> bool:
    """Whether services of several hosts listen at an address, wherever they are."""
    length = 128 if ":" in address else 32
    entries = [*q.by(_ENTRIES, address), *q.by(_ENTRIES, f"{address}/{length}")]
    hosts = {host for entry in entries for host in entry.spec.hosts}
    return len(hosts) + len(q.keys(_SERVICES, address)) > 1
