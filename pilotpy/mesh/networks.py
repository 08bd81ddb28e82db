"""Networks: which one a workload is on.

From labels of workloads and of each cluster's root namespace, and from MeshNetworks. Follows istiod's
``pilot/pkg/serviceregistry/kube/controller/network.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from types import MappingProxyType
from typing import Final, NamedTuple

from pilotpy.engine import Asking, query
from pilotpy.mesh.clusters import home_cluster
from pilotpy.mesh.config import root_namespace
from pilotpy.mesh.hosts import is_address
from pilotpy.mesh.kinds import MESH_NETWORKS, NAMESPACES
from pilotpy.model import mesh_networks as model

NETWORK: Final = "topology.istio.io/network"
NOTHING_SAID: Final[Mapping[str, str]] = MappingProxyType({})

Range = IPv4Network | IPv6Network


class Site(NamedTuple):
    """A cluster, and the networks that its workloads are on unless they say otherwise."""

    cluster: str
    network: str = ""  # of all of them
    ranges: tuple[tuple[Range, str], ...] = ()  # else by their addresses, the widest first

    def network_of(self, address: str, labels: Mapping[str, str] = NOTHING_SAID) -> str:
        """Return the network of a workload, or ""."""
        said = labels.get(NETWORK) or self.network
        if said or not self.ranges or not is_address(address):
            return said
        ip = ip_address(address)
        return next((name for around, name in self.ranges if ip.version == around.version and ip in around), "")


@query
def site(q: Asking, cluster: str) -> Site:
    """Return what is known of a cluster ("": home): its root namespace counts before MeshNetworks."""
    name = cluster or q(home_cluster)
    root = q(root_namespace)
    found = q.get(NAMESPACES, "", f"{root}@{cluster}" if cluster else root)
    network = (found.meta.labels.get(NETWORK) if found else "") or next(iter(q(_networks_of_registry, name)), "")
    return Site(name, network, () if network else q(_ranges))


def site_called(q: Asking, cluster: str) -> Site:
    """Return what is known of a cluster by its name."""
    return q(site, "" if cluster == q(home_cluster) else cluster)


@query
def _networks_of_registry(q: Asking, registry: str) -> tuple[str, ...]:
    """Return the networks that MeshNetworks says all endpoints of a cluster are on, sorted; at most one is meant."""
    return tuple(
        name for name, network in q(written_networks) if any(one.from_registry == registry for one in network.endpoints)
    )


@query
def _ranges(q: Asking) -> tuple[tuple[Range, str], ...]:
    """Return the address ranges that MeshNetworks gives to networks, the widest first."""
    found = [
        (ip_network(one.from_cidr, strict=False), name)
        for name, network in q(written_networks)
        for one in network.endpoints
        if one.from_cidr is not None
    ]
    return tuple(sorted(found, key=lambda one: (one[0].prefixlen, str(one[0]), one[1])))


@query
def written_networks(q: Asking) -> tuple[tuple[str, model.Network], ...]:
    """Return the networks of MeshNetworks, sorted by name."""
    ref = model.MESH_NETWORKS
    found = q.get(MESH_NETWORKS, ref.namespace, ref.name)
    return tuple(sorted(found.spec.networks.items())) if found else ()
