"""Networks: which one a workload is on.

From labels of workloads and of each cluster's root namespace, and from MeshNetworks. Follows istiod's
``pilot/pkg/serviceregistry/kube/controller/network.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from pilotpy.engine import Asking, query
from pilotpy.mesh.clusters import in_cluster
from pilotpy.mesh.config import root_namespace
from pilotpy.mesh.hosts import is_address
from pilotpy.mesh.kinds import MESH_NETWORKS, NAMESPACES
from pilotpy.model import mesh_networks as model

NETWORK: Final = "topology.istio.io/network"

Range = IPv4Network | IPv6Network


def network_at(q: Asking, address: str, labels: Mapping[str, str], cluster: str) -> str:
    """Return the network of a workload, or "": its own label, what its cluster is on, the range of its address."""
    return labels.get(NETWORK) or q(cluster_network, cluster) or _network_around(q, address)


@query
def cluster_network(q: Asking, cluster: str) -> str:
    """Return the network that the workloads of a cluster are on unless they say otherwise, or ""."""
    found = q.get(NAMESPACES, "", in_cluster(q, q(root_namespace), cluster))
    return (found.meta.labels.get(NETWORK) if found else "") or next(iter(q(_networks_of_registry, cluster)), "")


@query
def _networks_of_registry(q: Asking, registry: str) -> tuple[str, ...]:
    """Return the networks that MeshNetworks says all endpoints of a cluster are on, sorted; at most one is meant."""
    return tuple(
        name for name, network in q(written_networks) if any(one.from_registry == registry for one in network.endpoints)
    )


def _network_around(q: Asking, address: str) -> str:
    ranges = q(_ranges)
    if not ranges or not is_address(address):
        return ""
    ip = ip_address(address)
    return next((name for around, name in ranges if ip.version == around.version and ip in around), "")


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
