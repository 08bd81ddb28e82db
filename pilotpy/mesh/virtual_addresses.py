"""The virtual addresses of Kubernetes Services as clients of each cluster see them.

Every cluster gives its Services addresses of its own, often out of the same range. A client sees those of its own
cluster; of a Service that is not there, that of another, unless something else has that address here. Follows istiod's
``getAllAddressesForProxy`` (``pilot/pkg/model/service.go``).
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.clusters import parted
from pilotpy.mesh.kinds import SERVICES, SERVICES_ELSEWHERE
from pilotpy.mesh.service import Registry, Resolution, Service
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.resource import Resource

Name = tuple[str, str]  # namespace, bare name


def _addresses(service: Resource[KubeService] | None) -> tuple[str, ...]:
    if service is None or service.spec.cluster_ip in {"", "None"}:
        return ()
    return service.spec.cluster_ips or (service.spec.cluster_ip,)


def _by_name(service: Resource[KubeService]) -> Iterable[Name]:
    return ((service.ref.namespace, parted(service.ref.name)[0]),)


SERVICES_BY_ADDRESS = Index(SERVICES, _addresses, "services by virtual address")
ELSEWHERE_BY_ADDRESS = Index(SERVICES_ELSEWHERE, _addresses, "services of other clusters by virtual address")
ELSEWHERE_BY_NAME = Index(SERVICES_ELSEWHERE, _by_name, "services of other clusters by name")


def as_seen_in(q: Asking, found: Service, cluster: str) -> Service:
    """Return a service with the addresses that clients of a cluster ("": home) know it by; may be none."""
    if found.registry is not Registry.KUBERNETES or found.resolution is not Resolution.CLIENT_SIDE:
        return found
    if found.addresses and not cluster:
        return found
    return replace(found, addresses=q(addresses_in, found.key.namespace, found.name, cluster))


@query
def addresses_in(q: Asking, namespace: str, name: str, cluster: str) -> tuple[str, ...]:
    """Return the virtual addresses of a Service for clients of a cluster ("": home), the primary first."""
    there = {parted(one.ref.name)[1]: _addresses(one) for one in q.by(ELSEWHERE_BY_NAME, (namespace, name))}
    there[""] = _addresses(q.get(SERVICES, namespace, name))
    if there.get(cluster):
        return there[cluster]
    lent = (addresses[:1] for _, addresses in sorted(there.items()) if addresses)
    return next((address for address in lent if not of_cluster(q, address[0], cluster)), ())


def of_cluster(q: Asking, address: str, cluster: str) -> frozenset[Name]:
    """Return the Services that a cluster ("": home) itself has given an address to; at most one is meant."""
    if not cluster:
        return frozenset((str(namespace), str(name)) for namespace, name in q.keys(SERVICES_BY_ADDRESS, address))
    return frozenset(
        (str(namespace), parted(str(name))[0])
        for namespace, name in q.keys(ELSEWHERE_BY_ADDRESS, address)
        if parted(str(name))[1] == cluster
    )


def listening_at(q: Asking, address: str, cluster: str) -> frozenset[Name]:
    """Return the Services that clients of a cluster may know by an address: its own, else any that lends it."""
    own = of_cluster(q, address, cluster)
    if own:
        return own
    others = {(str(namespace), parted(str(name))[0]) for namespace, name in q.keys(ELSEWHERE_BY_ADDRESS, address)}
    return frozenset(others) | of_cluster(q, address, "")
