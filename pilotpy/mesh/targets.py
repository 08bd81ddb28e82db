"""Service targets: which service ports the workload behind a proxy serves.

From a workload's labels, addresses and named ports to ``Target``s. Whether the workload is ready
does not matter: a proxy takes traffic as soon as somebody sends it. Follows Istio's
``GetProxyServiceTargets`` (``serviceregistry/kube/controller`` and ``serviceentry``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, cast

from pilotpy.engine import Asking
from pilotpy.mesh.clusters import parted
from pilotpy.mesh.endpoints import SLICES_BY_ADDRESS
from pilotpy.mesh.hosts import service_host
from pilotpy.mesh.kinds import SERVICE_ENTRIES
from pilotpy.mesh.service import HOME, Port, Protocol, Resolution, Service, ServiceKey
from pilotpy.mesh.service_entries import ENTRIES_BY_ADDRESS, ENTRIES_BY_SELECTOR, hosts_of
from pilotpy.mesh.services import SERVICES_BY_SELECTOR, service
from pilotpy.mesh.view import Target
from pilotpy.mesh.workloads import WORKLOADS_BY_ADDRESS, entry_workload, selects

Pairs = tuple[tuple[str, str], ...]
NamedPorts = tuple[tuple[str, int, str], ...]  # name, number, transport


class Behind(NamedTuple):
    """What is known of the workload behind a proxy."""

    namespace: str
    addresses: tuple[str, ...]
    labels: Pairs
    ports: NamedPorts
    cluster: str = HOME


def service_targets(q: Asking, behind: Behind) -> tuple[Target, ...]:
    """Return one target per port of the workload, that of the oldest service; sorted by the workload's port."""
    found = list(_of_entries(q, behind))
    by_labels = list(_selecting(q, behind.namespace, behind.labels, behind.ports))
    found += by_labels or _listing(q, behind)
    found += _entry_services(q, behind)
    found.sort(key=lambda pair: (pair[0].age[0], pair[0].key.host))
    targets: dict[int, Target] = {}
    for served, target in found:
        first = targets.setdefault(target.target, Target(served.key, target.port, target.target))
        if target.port == first.port and served.key not in (first.service, *first.besides):
            targets[target.target] = first._replace(besides=(*first.besides, served.key))
    return tuple(targets[number] for number in sorted(targets))


_Found = tuple[Service, Target]


def _of_entries(q: Asking, behind: Behind) -> Iterator[_Found]:
    """Yield the services that select a WorkloadEntry of the proxy's address."""
    for address in behind.addresses:
        for key in q.keys(WORKLOADS_BY_ADDRESS, address):
            workload = q(entry_workload, *_name(key))
            if workload:
                yield from _selecting(q, workload.namespace, workload.labels, workload.ports)


def _selecting(q: Asking, namespace: str, labels: Pairs, ports: NamedPorts) -> Iterator[_Found]:
    """Yield the Kubernetes Services whose selectors pick these labels."""
    for name in _candidates(q, namespace, labels):
        found = q(service, ServiceKey(namespace, service_host(namespace, name)))
        if found and found.resolution is not Resolution.ALIAS and selects(found.selector, labels):
            yield from _targets(found, ports)


def _candidates(q: Asking, namespace: str, labels: Pairs) -> list[str]:
    names = {str(key[1]) for label in labels for key in q.keys(SERVICES_BY_SELECTOR, (namespace, *label))}
    return sorted(names)


def _targets(found: Service, ports: NamedPorts) -> Iterator[_Found]:
    for port in found.ports:
        number = _number(port, ports)
        if number and port.protocol is not Protocol.UDP:
            yield found, Target(found.key, port.number, number)


def _number(port: Port, ports: NamedPorts) -> int:
    """Return the workload's own port behind a service port, 0 if its name is not known there."""
    if isinstance(port.target, int):
        return port.target or port.number
    transport = "UDP" if port.protocol is Protocol.UDP else "TCP"
    return next((number for name, number, spoken in ports if name == port.target and spoken == transport), 0)


def _listing(q: Asking, behind: Behind) -> Iterator[_Found]:
    """Yield the services without selectors whose EndpointSlices list an address of the workload."""
    for address in behind.addresses:
        for piece in q.by(SLICES_BY_ADDRESS, address):
            if parted(piece.ref.name)[1] not in {"", behind.cluster}:
                continue
            name = piece.meta.labels.get("kubernetes.io/service-name", "")
            found = q(service, ServiceKey(piece.ref.namespace, service_host(piece.ref.namespace, name)))
            if not found or found.selector:
                continue
            numbers = {listed.name or "": listed.port or 0 for listed in piece.spec.ports}
            for port in found.ports:
                if numbers.get(port.name) and port.protocol is not Protocol.UDP:
                    yield found, Target(found.key, port.number, numbers[port.name])


def _entry_services(q: Asking, behind: Behind) -> Iterator[_Found]:
    """Yield the services that ServiceEntries define and that this workload serves."""
    keys = {_name(key) for address in behind.addresses for key in q.keys(ENTRIES_BY_ADDRESS, address)}
    for label in behind.labels:
        keys.update(_name(key) for key in q.keys(ENTRIES_BY_SELECTOR, (behind.namespace, *label)))
    for namespace, name in sorted(keys):
        for host in q(hosts_of, namespace, name):
            found = q(service, ServiceKey(namespace, host))
            if found and _serves(q, found, behind, (namespace, name)):
                yield from _entry_targets(q, found, behind, (namespace, name))


def _serves(q: Asking, found: Service, behind: Behind, key: tuple[str, str]) -> bool:
    if found.selector:
        return found.key.namespace == behind.namespace and selects(found.selector, behind.labels)
    return bool(_listed_ports(q, behind, key))


def _entry_targets(q: Asking, found: Service, behind: Behind, key: tuple[str, str]) -> Iterable[_Found]:
    own = {} if found.selector else dict(_listed_ports(q, behind, key)[0])
    for port in found.ports:
        target = port.target if isinstance(port.target, int) else 0
        if port.protocol is not Protocol.UDP:
            yield found, Target(found.key, port.number, own.get(port.name) or target or port.number)


def _listed_ports(q: Asking, behind: Behind, key: tuple[str, str]) -> list[dict[str, int]]:
    entry = q.get(SERVICE_ENTRIES, *key)
    return (
        [dict(listed.ports) for listed in entry.spec.endpoints if listed.address in behind.addresses] if entry else []
    )


def _name(key: tuple[object, ...]) -> tuple[str, str]:
    return cast("tuple[str, str]", key)
