"""The gateways through which workloads are reached from other networks.

From Services with the label of a network, in any cluster, and from MeshNetworks, to addresses. Follows istiod's
``pilot/pkg/serviceregistry/kube/controller/network.go`` and ``pilot/pkg/model/network.go``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from math import lcm
from typing import Final, NamedTuple

import msgspec

from pilotpy.engine import Asking, Index, Kind, query
from pilotpy.mesh.clusters import home_cluster, in_cluster, parted
from pilotpy.mesh.hosts import is_address, kubernetes_name
from pilotpy.mesh.kinds import NODES, SERVICES, SERVICES_ELSEWHERE
from pilotpy.mesh.networks import NETWORK, written_networks
from pilotpy.model.kubernetes import KubeService, Node
from pilotpy.model.mesh_networks import MESH_NETWORKS, Network
from pilotpy.model.resource import Finding, Resource, Severity
from pilotpy.schema.paths import below

PORT: Final = 15443  # of gateways that say nothing else

HOST_ADDRESSES: Kind[tuple[str, ...]] = Kind("HostAddresses")
"""The addresses that a gateway's name was last resolved to, sorted, under (name,)."""

_GATEWAY_PORT: Final = "networking.istio.io/gatewayPort"
_NODE_SELECTOR: Final = "traffic.istio.io/nodeSelector"
_FROM_OUTSIDE: Final = frozenset({"LoadBalancer", "NodePort"})


class NetworkGateway(NamedTuple):
    """One way into a network."""

    address: str  # an IP, or a host name
    port: int
    network: str
    cluster: str = ""  # "": of none in particular


def _network_label(service: Resource[KubeService]) -> Iterable[str]:
    network = service.meta.labels.get(NETWORK, "")
    return (network,) if network else ()


def _cluster_outside(node: Resource[Node]) -> Iterable[str]:
    return (parted(node.ref.name)[1],) if _external(node) else ()


_AT_HOME = Index(SERVICES, _network_label, "services by network that they lead to")
_ELSEWHERE = Index(SERVICES_ELSEWHERE, _network_label, "services of other clusters by network that they lead to")
_NODES_OUTSIDE = Index(NODES, _cluster_outside, "nodes that have an address outside, by cluster")


@query
def gateways_to(q: Asking, network: str, cluster: str) -> tuple[NetworkGateway, ...]:
    """Return the gateways to workloads of a cluster on a network, sorted; empty: they are reached directly.

    Those of the cluster itself, if there are any; else all of the network.
    """
    found = [one for one in q(gateways) if one.network == network]
    return tuple([one for one in found if one.cluster == cluster] or found)


@query
def weight_scale(q: Asking) -> int:
    """Return what weights are multiplied by, so that each can be divided among the gateways of any network."""
    counts: dict[tuple[str, ...], int] = {}
    for one in q(gateways):
        for group in ((one.network,), (one.network, one.cluster)):
            counts[group] = counts.get(group, 0) + 1
    return lcm(*counts.values())


@query
def has_gateways(q: Asking) -> bool:
    """Tell whether there are gateways to any network."""
    return bool(q(gateways))


@query
def gateway_families(q: Asking) -> frozenset[int]:
    """Return the IP versions of the gateways' addresses; may be empty."""
    return frozenset(ip_address(one.address).version for one in q(gateways))


@query
def wanted_hosts(q: Asking) -> tuple[str, ...]:
    """Return the host names of gateways, which somebody has to resolve; sorted, may be empty."""
    return tuple(sorted({one.address for one in q(named_gateways) if not is_address(one.address)}))


@query
def gateways(q: Asking) -> tuple[NetworkGateway, ...]:
    """Return the gateways to all networks, each with an IP, sorted; those whose names are not resolved are left out."""
    found: set[NetworkGateway] = set()
    for one in q(named_gateways):
        if is_address(one.address):
            found.add(one)
            continue
        addresses = q.get(HOST_ADDRESSES, one.address) or ()
        found.update(one._replace(address=address) for address in addresses)
        if not addresses:
            q.note(_unresolved(one))
    return tuple(sorted(found))


@query
def named_gateways(q: Asking) -> tuple[NetworkGateway, ...]:
    """Return the gateways to all networks as they are written, some under host names; sorted, no repeats."""
    home = q(home_cluster)
    found = {
        NetworkGateway(one.address, one.port, name)
        for name, network in q(written_networks)
        for one in network.gateways
        if one.address
    }
    for index in (_AT_HOME, _ELSEWHERE):
        for network in q.buckets(index):
            for service in q.by(index, network):
                port = _port(q, service)
                found.update(_through(q, service, str(network), port, home) if port else ())
    for name, network in q(written_networks):
        for number, gateway in enumerate(network.gateways):
            if gateway.registry_service_name:
                services = _registered(q, gateway.registry_service_name, network)
                if not services:
                    q.note(_unknown(gateway.registry_service_name, name, number))
                # What a Service says of itself by a label counts before this.
                unlabelled = (service for service in services if NETWORK not in service.meta.labels)
                found.update(one for service in unlabelled for one in _through(q, service, name, gateway.port, home))
    return tuple(sorted(found))


def _registered(q: Asking, host: str, network: Network) -> list[Resource[KubeService]]:
    """Return the Services of a host name in the clusters that are on a network, sorted by cluster."""
    name = kubernetes_name(host)
    if name is None:
        return []
    registries = sorted({one.from_registry for one in network.endpoints if one.from_registry})
    home = q(home_cluster)
    found = [
        q.get(SERVICES, *name)
        if registry == home
        else q.get(SERVICES_ELSEWHERE, name.namespace, in_cluster(q, name.name, registry))
        for registry in registries
    ]
    return [service for service in found if service is not None]


def _through(q: Asking, service: Resource[KubeService], network: str, port: int, home: str) -> Iterator[NetworkGateway]:
    """Yield the gateways that a Service is: a port at each of its addresses that others can reach."""
    spec, cluster = service.spec, parted(service.ref.name)[1]
    balancers = spec.status.load_balancer if spec.type == "LoadBalancer" and spec.status else None
    outside = [one.ip or one.hostname for one in balancers.ingress if one.ip or one.hostname] if balancers else []
    selector = service.meta.annotations.get(_NODE_SELECTOR) if spec.type == "NodePort" else None
    if selector is not None:
        outside += _of_nodes(q, service, selector, cluster)
        port = next((one.node_port for one in spec.ports if one.port == port), 0) or port
    addresses = dict.fromkeys((*outside, *spec.external_ips))
    if not addresses and spec.type in _FROM_OUTSIDE:
        q.note(_unreachable(service, network))
    for address in addresses:
        yield NetworkGateway(address, port, network, cluster or home)


def _of_nodes(q: Asking, service: Resource[KubeService], selector: str, cluster: str) -> list[str]:
    try:
        wanted = msgspec.json.decode(selector, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeError):
        field, hint = f'metadata.annotations["{_NODE_SELECTOR}"]', 'Write labels in JSON: {"zone": "a"}, or {} for all'
        q.note(_unread(service, field, f"{selector[:80]!r} is no JSON object of labels: no node counts", hint))
        return []
    nodes = (node for node in q.by(_NODES_OUTSIDE, cluster) if wanted.items() <= node.meta.labels.items())
    return [address for node in nodes for address in _external(node)]


def _external(node: Resource[Node]) -> list[str]:
    addresses = node.spec.status.addresses if node.spec.status else ()
    return [one.address for one in addresses if one.type == "ExternalIP" and one.address]


def _port(q: Asking, service: Resource[KubeService]) -> int:
    """Return the port at which a labelled Service is a gateway, 0 if it has no such port: then it is none."""
    text, port = service.meta.labels.get(_GATEWAY_PORT, ""), PORT
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        port = int(text)
    elif text:
        field = f'metadata.labels["{_GATEWAY_PORT}"]'
        q.note(_unread(service, field, f"{text!r} is no port: {PORT} is taken", "Write a number from 1 to 65535"))
    if any(one.port == port for one in service.spec.ports):
        return port
    message = f"By its label it leads to a network, but it has no port {port}: it is not taken for a gateway"
    q.note(
        _unread(service, f'metadata.labels["{NETWORK}"]', message, f"Add the port, or say another in {_GATEWAY_PORT}")
    )
    return 0


def _unread(service: Resource[KubeService], field: str, message: str, hint: str) -> Finding:
    return Finding(code="PP0307", severity=Severity.WARNING, message=message, ref=service.ref, field=field, hint=hint)


def _unreachable(service: Resource[KubeService], network: str) -> Finding:
    return Finding(
        code="PP0310",
        severity=Severity.WARNING,
        message=f"The gateway of network {network} has no address that other networks can reach",
        ref=service.ref,
        hint="Wait for its load balancer, write externalIPs, or choose Nodes by traffic.istio.io/nodeSelector; "
        "until then endpoints behind it are sent to as if no gateway were needed",
    )


def _unknown(host: str, network: str, number: int) -> Finding:
    return Finding(
        code="PP0311",
        severity=Severity.WARNING,
        message=f"No Service {host} is known in a cluster of network {network}: it is no gateway",
        ref=MESH_NETWORKS,
        field=f"{below('networks', network)}.gateways[{number}].registryServiceName",
        hint="Write it as NAME.NAMESPACE.svc.cluster.local, and its cluster as fromRegistry among the endpoints",
    )


def _unresolved(gateway: NetworkGateway) -> Finding:
    return Finding(
        code="PP0308",
        severity=Severity.WARNING,
        message=f"Gateway {gateway.address} of network {gateway.network} has no address that is known",
        hint="See that its name resolves where a control plane runs (an analysis asks no name server); until then "
        "endpoints behind it are sent to as if no gateway were needed",
    )
