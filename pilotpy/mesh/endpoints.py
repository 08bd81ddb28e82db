"""The endpoints of a service port.

From EndpointSlices (or the older Endpoints) with the Pods behind them, from what ServiceEntries
list, and from the workloads that services select, to ``Endpoint``. Follows Istio's
``serviceregistry/kube/controller/endpointslice.go`` and ``serviceentry/conversion.go``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeGuard

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.clusters import are_several, home_cluster, parted
from pilotpy.mesh.hosts import is_address
from pilotpy.mesh.kinds import ENDPOINT_SLICES, ENDPOINTS
from pilotpy.mesh.networks import Site, site
from pilotpy.mesh.service import Endpoint, Health, Port, Registry, Resolution, Service, ServiceKey
from pilotpy.mesh.service_entries import entries
from pilotpy.mesh.services import service
from pilotpy.mesh.workloads import (
    Workload,
    chosen_entries,
    chosen_pods,
    node_locality,
    pod_at,
    pod_workload,
    workload_of,
)
from pilotpy.model.kubernetes import (
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    KubeEndpoints,
    ObjectReference,
)
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.model.service_entry import ServicePort
from pilotpy.schema.codes import NOT_COMPILED

PERSISTENT_SESSION = "istio.io/persistent-session"

_DNS = frozenset({Resolution.DNS, Resolution.DNS_ROUND_ROBIN, Resolution.DYNAMIC_DNS})


def _by_service(piece: Resource[EndpointSlice]) -> Iterable[tuple[str, str]]:
    name = piece.meta.labels.get("kubernetes.io/service-name", "")
    return [(piece.ref.namespace, name)] if name else []


def _by_address(piece: Resource[EndpointSlice]) -> Iterable[str]:
    return {address for endpoint in piece.spec.endpoints for address in endpoint.addresses}


def _older_by_service(older: Resource[KubeEndpoints]) -> Iterable[tuple[str, str]]:
    return [(older.ref.namespace, parted(older.ref.name)[0])]


ENDPOINTS_BY_SERVICE = Index(ENDPOINTS, _older_by_service, "endpoints by service")
SLICES_BY_SERVICE = Index(ENDPOINT_SLICES, _by_service, "slices by service")
SLICES_BY_ADDRESS = Index(ENDPOINT_SLICES, _by_address, "slices by endpoint address")


@query
def endpoints(q: Asking, key: ServiceKey, port_name: str) -> tuple[Endpoint, ...]:
    """Return what is behind a service's port, sorted by address, port and cluster; may be empty.

    Unhealthy ones are among them; those that are terminating are not. Each is there once, unless its
    address is "": such are on networks that are entered through gateways.
    """
    found = q(service, key)
    port = next((port for port in found.ports if port.name == port_name), None) if found else None
    if found is None or port is None or found.resolution is Resolution.ALIAS:
        return ()
    behind = _behind_kubernetes(q, found, port) if found.registry is Registry.KUBERNETES else _listed(q, found, port)
    first: dict[tuple[str, int, str, str, int], Endpoint] = {}
    for count, endpoint in enumerate(behind):
        # Different networks may have the same addresses; those without are as many as they are.
        where = (endpoint.cluster, endpoint.network, 0 if endpoint.address else count)
        first.setdefault((endpoint.address, endpoint.port, *where), endpoint)
    return tuple(first[place] for place in sorted(first))


def _behind_kubernetes(q: Asking, found: Service, port: Port) -> Iterator[Endpoint]:
    namespace, name = found.key.namespace, found.name
    pieces = q.by(SLICES_BY_SERVICE, (namespace, name))
    for piece in pieces:
        if piece.spec.address_type == "FQDN":
            q.note(_of_names(piece.ref))
            continue
        yield from _of_slice(q, found, port, piece)
    with_pieces = {parted(piece.ref.name)[1] for piece in pieces}
    # Where there is one cluster, pieces say it all: its Endpoints need not be looked for.
    for older in q.by(ENDPOINTS_BY_SERVICE, (namespace, name)) if not pieces or q(are_several) else ():
        cluster = parted(older.ref.name)[1]
        if cluster not in with_pieces:
            yield from _older(q, found, port, older, cluster)
    if found.selector:
        for workload in chosen_entries(q, namespace, found.selector):
            named = {name: number for name, number, _ in workload.ports}
            target = port.target if isinstance(port.target, int) else named.get(port.target, 0)
            number = named.get(port.name) or target or port.number
            yield from _of_workload(workload, port.name, number)


def _of_names(piece: Ref) -> Finding:
    return Finding(
        code=NOT_COMPILED,
        severity=Severity.WARNING,
        message="Endpoints that are names are passed over: a Service of Kubernetes has addresses behind it",
        ref=piece,
        field="addressType",
        hint="List addresses, or write a ServiceEntry with resolution: DNS",
    )


def _of_slice(q: Asking, found: Service, port: Port, piece: Resource[EndpointSlice]) -> Iterator[Endpoint]:
    number = _number(piece.spec.ports, port.name)
    cluster = parted(piece.ref.name)[1]
    here = q(site, cluster)
    for endpoint in piece.spec.endpoints if number else ():
        health = _health(found, endpoint.conditions)
        if health is None:
            continue
        for address in endpoint.addresses:
            workload = _pod(q, found.key.namespace, endpoint.target_ref, address, cluster)
            if workload:
                yield _of(workload, address, number, port.name, health)
            elif _names_a_pod(endpoint.target_ref):
                q.note(_of_nobody(piece.ref, endpoint.target_ref.name))
            else:
                node, hostname = endpoint.node_name, endpoint.hostname
                yield _unknown(q, found, port.name, here, address, number, health, node, hostname)


def _older(q: Asking, found: Service, port: Port, older: Resource[KubeEndpoints], cluster: str) -> Iterator[Endpoint]:
    here = q(site, cluster)
    for subset in older.spec.subsets:
        number = _number(subset.ports, port.name)
        if not number:
            continue
        # Unready addresses would be terminating ones for all that this older form says.
        unready = subset.not_ready_addresses if found.publish_not_ready else ()
        for address in (*subset.addresses, *unready):
            workload = _pod(q, found.key.namespace, address.target_ref, address.ip, cluster)
            if workload:
                yield _of(workload, address.ip, number, port.name, Health.HEALTHY)
            elif _names_a_pod(address.target_ref):
                q.note(_of_nobody(older.ref, address.target_ref.name))
            else:
                node, hostname = address.node_name, address.hostname
                yield _unknown(q, found, port.name, here, address.ip, number, Health.HEALTHY, node, hostname)


def _unknown(  # noqa: PLR0913, PLR0917  # what two spellings of one thing have in common
    q: Asking,
    found: Service,
    port_name: str,
    here: Site,
    address: str,
    number: int,
    health: Health,
    node: str | None,
    hostname: str | None,
) -> Endpoint:
    """Return an endpoint of which no more is known than what lists it."""
    return Endpoint(
        address=address,
        port=number,
        port_name=port_name,
        health=health,
        locality=q(node_locality, node or ""),
        network=here.network_of(address),
        cluster=here.cluster,
        node=node or "",
        namespace=found.key.namespace,
        hostname=hostname or "",
        subdomain=found.name if hostname else "",
    )


def _listed(q: Asking, found: Service, port: Port) -> Iterator[Endpoint]:
    """Yield the endpoints of a service that ServiceEntries define."""
    namespace = found.key.namespace
    by_name = found.resolution in _DNS
    for entry in q(entries, namespace, found.key.host):
        written = next((p for p in entry.spec.ports if p.number == port.number), None)
        if written is None:
            continue
        if found.selector:
            yield from _selected(q, found, written, port.name)
        for index, listed in enumerate(entry.spec.endpoints):
            workload = workload_of(q, listed, namespace, f"{entry.ref.name}-{index}")
            if by_name or is_address(listed.address) or listed.address.startswith("unix://") or not listed.address:
                yield from _of_workload(workload, port.name, _target(written, workload))
        if by_name and not entry.spec.endpoints and not found.selector:
            yield Endpoint(
                address=found.key.host,
                port=written.target_port or written.number,
                port_name=port.name,
                namespace=namespace,
                cluster=q(home_cluster),
                labels=tuple(sorted(entry.meta.labels.items())),
            )


def _selected(q: Asking, found: Service, written: ServicePort, port_name: str) -> Iterator[Endpoint]:
    namespace = found.key.namespace
    for workload in chosen_entries(q, namespace, found.selector):
        if found.resolution in _DNS or all(is_address(address) for address in workload.addresses):
            yield from _of_workload(workload, port_name, _target(written, workload))
    for workload in q(chosen_pods, namespace, found.selector):
        if workload.ready:
            yield from _of_workload(workload, port_name, written.target_port or written.number)


def _target(written: ServicePort, workload: Workload) -> int:
    own = {name: number for name, number, _ in workload.ports}
    return own.get(written.name) or written.target_port or written.number


def _of_workload(workload: Workload, port_name: str, number: int) -> Iterator[Endpoint]:
    # One without an address is reached through the gateways of its network, if at all.
    for address in workload.addresses[:1] or (("",) if workload.network else ()):
        health = Health.HEALTHY if workload.ready else Health.UNHEALTHY
        yield _of(workload, address, 0 if address.startswith("unix://") else number, port_name, health)


def _of(workload: Workload, address: str, number: int, port_name: str, health: Health) -> Endpoint:
    return Endpoint(
        address=address,
        port=number,
        port_name=port_name,
        labels=workload.labels,
        service_account=workload.service_account,
        locality=workload.locality,
        network=workload.network,
        cluster=workload.cluster,
        node=workload.node,
        weight=workload.weight,
        health=health,
        workload=workload.owner,
        namespace=workload.namespace,
        hostname=workload.hostname,
        subdomain=workload.subdomain,
        tls_mode=workload.tls_mode,
    )


def _pod(q: Asking, namespace: str, ref: ObjectReference | None, address: str, cluster: str) -> Workload | None:
    if _names_a_pod(ref):
        return q(pod_workload, ref.namespace or namespace, ref.name)
    return pod_at(q, address, cluster)


def _names_a_pod(ref: ObjectReference | None) -> TypeGuard[ObjectReference]:
    return ref is not None and ref.kind == "Pod"


def _of_nobody(listing: Ref, pod: str) -> Finding:
    """Without its Pod nobody knows whether an endpoint speaks mutual TLS, nor as whom: it waits for it."""
    return Finding(
        code="PP0312",
        severity=Severity.INFO,
        message=f"An endpoint is left out: its Pod {pod} is not known",
        ref=listing,
        field="endpoints" if listing.kind == "EndpointSlice" else "subsets",
        hint="It counts as soon as the Pod is there; an endpoint of something else needs no targetRef",
    )


def _number(ports: tuple[EndpointPort, ...], name: str) -> int:
    """Return the number that a port of this name has here, 0 if there is none."""
    return next((port.port or 0 for port in ports if (port.name or "") == name), 0)


def _health(found: Service, conditions: EndpointConditions | None) -> Health | None:
    """Return an endpoint's readiness, None if it is to be dropped: unready and terminating, or not saying."""
    if found.publish_not_ready or conditions is None or conditions.ready is not False:
        return Health.HEALTHY
    if conditions.terminating is False:
        return Health.UNHEALTHY
    sticky = any(name == PERSISTENT_SESSION for name, _ in found.labels)
    return Health.DRAINING if sticky and conditions.serving is not False else None
