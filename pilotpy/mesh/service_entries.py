"""ServiceEntries as services: the ones that users add to the platform's own.

From the ServiceEntries of a namespace that name a host to one ``Service``. Follows Istio's
``serviceregistry/serviceentry/conversion.go``, and for entries that share a host the merge of
``pilot/pkg/model/sidecar.go``.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.config import export_default
from pilotpy.mesh.exports import Exporting, exports, reaches
from pilotpy.mesh.hosts import zones
from pilotpy.mesh.kinds import SERVICE_ENTRIES
from pilotpy.mesh.protocol import named_protocol
from pilotpy.mesh.service import Port, Registry, Resolution, Service, ServiceKey
from pilotpy.model.resource import Finding, Resource, Severity
from pilotpy.model.service_entry import ServiceEntry

_RESOLUTIONS = {
    "NONE": Resolution.PASSTHROUGH,
    "STATIC": Resolution.CLIENT_SIDE,
    "DNS": Resolution.DNS,
    "DNS_ROUND_ROBIN": Resolution.DNS_ROUND_ROBIN,
    "DYNAMIC_DNS": Resolution.DYNAMIC_DNS,
}

Entry = Resource[ServiceEntry]


def entry_hosts(entry: Entry) -> tuple[str, ...]:
    """Return the hosts of an entry in lower case, as written, each once."""
    return tuple(dict.fromkeys(host.lower() for host in entry.spec.hosts if host))


def _by_host(entry: Entry) -> Iterable[str]:
    return entry_hosts(entry)


def _by_zone(entry: Entry) -> Iterable[str]:
    return {zone for host in entry_hosts(entry) for zone in zones(host)}


def _by_reach(entry: Entry) -> Iterable[tuple[str, str]]:
    return reaches(entry.spec.export_to, entry.ref.namespace)


def _by_selector(entry: Entry) -> Iterable[tuple[str, str, str]]:
    selector = selected(entry)
    return [(entry.ref.namespace, *selector[0])] if selector else []


def _by_address(entry: Entry) -> Iterable[str]:
    return {workload.address for workload in entry.spec.endpoints}


ENTRIES_BY_HOST = Index(SERVICE_ENTRIES, _by_host, "entries by host")
ENTRIES_BY_ZONE = Index(SERVICE_ENTRIES, _by_zone, "entries by zone of their hosts")
ENTRIES_BY_REACH = Index(SERVICE_ENTRIES, _by_reach, "entries by reach")
ENTRIES_BY_SELECTOR = Index(SERVICE_ENTRIES, _by_selector, "entries by namespace and first label selected")
ENTRIES_BY_ADDRESS = Index(SERVICE_ENTRIES, _by_address, "entries by endpoint address")


def selected(entry: Entry) -> tuple[tuple[str, str], ...]:
    """Return the labels that an entry selects workloads by, sorted; empty: it lists its endpoints."""
    chooser = entry.spec.workload_selector
    return tuple(sorted(chooser.labels.items())) if chooser else ()


@query
def hosts_of(q: Asking, namespace: str, name: str) -> tuple[str, ...]:
    """Return the hosts of one entry; empty if there is no such entry."""
    entry = q.get(SERVICE_ENTRIES, namespace, name)
    return entry_hosts(entry) if entry else ()


@query
def entries(q: Asking, namespace: str, host: str) -> tuple[Entry, ...]:
    """Return the entries of a namespace that make up its service of a host, oldest first; may be empty.

    The oldest says what the service is; a later one adds ports if it agrees in everything else.
    """
    keys = [key for key in q.keys(ENTRIES_BY_HOST, host) if key[0] == namespace]
    found = [entry for entry in (q.get(SERVICE_ENTRIES, *key) for key in keys) if entry]
    found.sort(key=lambda entry: entry.age_order)
    kept: list[Entry] = []
    taken: dict[int, Entry] = {}
    for entry in found:
        if kept and not _agree(kept[0], entry):
            q.note(_ignored(entry, kept[0], host))
            continue
        for port in entry.spec.ports:
            earlier = taken.setdefault(port.number, entry)
            if earlier is not entry:
                q.note(_port_twice(entry, earlier, host, port.number))
        kept.append(entry)
    return tuple(kept)


@query
def entry_service(q: Asking, key: ServiceKey) -> Service | None:
    """Return the service that a namespace's entries make of a host, or None."""
    kept = q(entries, key.namespace, key.host)
    if not kept:
        return None
    first = kept[0]
    ports = {
        port.number: Port(port.number, port.name, named_protocol(port.protocol), port.target_port)
        for entry in reversed(kept)
        for port in reversed(entry.spec.ports)
    }
    written = [port.number for entry in kept for port in entry.spec.ports]
    return Service(
        key=key,
        name=key.host,
        registry=Registry.EXTERNAL,
        resolution=_RESOLUTIONS[first.spec.resolution],
        ports=tuple(ports[number] for number in dict.fromkeys(written)),
        addresses=tuple(dict.fromkeys(a for entry in kept for a in _addresses(entry))),
        selector=selected(first),
        labels=tuple(sorted(first.meta.labels.items())),
        export_to=exports(first.spec.export_to, key.namespace, q(export_default, Exporting.SERVICE)),
        mesh_external=first.spec.location == "MESH_EXTERNAL",
        service_accounts=first.spec.subject_alt_names,
        traffic_distribution=first.meta.annotations.get("networking.istio.io/traffic-distribution", ""),
        age=first.age_order,
        source=first.ref,
    )


def _addresses(entry: Entry) -> Iterable[str]:
    """Yield single addresses bare, ranges as written; what is neither has been found at validation."""
    for text in entry.spec.addresses:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            continue
        yield str(network.network_address) if network.num_addresses == 1 else text


def _agree(one: Entry, other: Entry) -> bool:
    def rest(entry: Entry) -> tuple[object, ...]:
        spec = entry.spec
        return (spec.resolution, entry.meta.labels, spec.workload_selector, spec.export_to)

    return rest(one) == rest(other)


def _ignored(entry: Entry, first: Entry, host: str) -> Finding:
    return Finding(
        code="PP0110",
        severity=Severity.WARNING,
        message=f"Host {host!r} is already defined by {first.ref}, from which this one differs in more than ports",
        ref=entry.ref,
        field="spec.hosts",
        hint="Give both the same resolution, labels, workloadSelector and exportTo, or use another host",
    )


def _port_twice(entry: Entry, first: Entry, host: str, number: int) -> Finding:
    return Finding(
        code="PP0111",
        severity=Severity.INFO,
        message=f"Port {number} of host {host!r} is already defined by {first.ref}",
        ref=entry.ref,
        field="spec.ports",
        hint="Drop it from one of the two; the older one counts",
    )
