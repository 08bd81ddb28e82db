"""From the services of a scope to the names that the DNS proxy beside an Envoy answers by itself.

One table, its entries in pieces per service that clients share. Source: istiod's pkg/dns/server/name_table.go and
pkg/dns/proto/nds.proto.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pilotpy.compile.encoded import Encoded, Rope, Tree
from pilotpy.compile.outbound import is_headless
from pilotpy.compile.wire import delimited, serialised
from pilotpy.engine import Asking, query
from pilotpy.mesh.clusters import are_several, keeps_to_its_cluster
from pilotpy.mesh.endpoints import endpoints
from pilotpy.mesh.hosts import is_address
from pilotpy.mesh.scopes import members, runs
from pilotpy.mesh.service import Endpoint, Health, Registry, Service, ServiceKey
from pilotpy.mesh.services import service
from pilotpy.mesh.view import Part, Parts, Place, Scope
from pilotpy.mesh.virtual_addresses import as_seen_in
from pilotpy_protos.istio.networking.nds.v1.nds_pb2 import NameTable

_TABLE: Final = 1  # the field of the table, a map: entries are messages of key 1 and value 2
_CLUSTER_SET: Final = ".clusterset.local"


class Nearby(NamedTuple):
    """Where a client runs, as far as the names of endpoints depend on it."""

    network: str
    cluster: str
    addresses_of: str = ""  # whose virtual addresses it knows services by, as its scope says


@query
def name_table(q: Asking, scope: Scope, place: Place) -> Tree:
    """The one table, under the name ""."""
    nearby = Nearby(place.network, place.cluster, scope.cluster)
    return Tree([Encoded("", Rope(q(run_names, run, nearby) for run in q(runs, scope.parts)))])


@query
def run_names(q: Asking, run: Parts, nearby: Nearby) -> Rope:
    """The entries of some parts."""
    return Rope(q(part_names, part, nearby) for part in run)


@query
def part_names(q: Asking, part: Part, nearby: Nearby) -> Rope:
    """The entries of one part's services, in their order."""
    pieces = []
    for member in q(members, part):
        found = q(service, member.service)
        if found is not None and _asks_endpoints(found):
            pieces.append(q(headless_names, member.service, nearby))
        else:
            pieces.append(q(service_names, member.service, nearby.addresses_of))
    return Rope(pieces)


@query
def service_names(q: Asking, key: ServiceKey, cluster: str) -> bytes:
    """The entry of a service that has addresses; empty if it has none."""
    found = q(service, key)
    if found is None:
        return b""
    addresses = [address for address in as_seen_in(q, found, cluster).addresses if is_address(address)]
    return _entry(key.host, _named(found, addresses)) if addresses else b""


@query
def headless_names(q: Asking, key: ServiceKey, nearby: Nearby) -> bytes:
    """The entries of a service without an address: its endpoints, and each Pod that has a name in it."""
    found = q(service, key)
    if found is None:
        return b""
    kept = q(are_several) and keeps_to_its_cluster(q, key.host)
    near = [
        one
        for port in found.ports
        for one in q(endpoints, key, port.name)
        if is_address(one.address) and _is_near(one, nearby) and (_is_ready(one) or found.publish_not_ready)
        if not kept or one.cluster == nearby.cluster
    ]
    if not near:
        return b""
    addresses = list(dict.fromkeys(one.address for one in near))
    entries = {key.host: _named(found, addresses)}
    # The same Pod may run in several clusters; a name has one of them, the client's own if it can.
    for one in sorted(near, key=lambda one: one.cluster != nearby.cluster):
        if one.hostname and one.subdomain:
            name = f"{one.hostname}.{one.subdomain}"
            info = NameTable.NameInfo(ips=[one.address], registry="Kubernetes", namespace=key.namespace, shortname=name)
            entries.setdefault(f"{name}.{key.host.partition('.')[2]}", info)
    return b"".join(_entry(host, entries[host]) for host in sorted(entries))


def _asks_endpoints(found: Service) -> bool:
    return is_headless(found) and found.registry is Registry.KUBERNETES


def _is_near(one: Endpoint, nearby: Nearby) -> bool:
    return not one.network or not nearby.network or one.network == nearby.network


def _is_ready(one: Endpoint) -> bool:
    return one.health is Health.HEALTHY


def _named(found: Service, addresses: list[str]) -> NameTable.NameInfo:
    info = NameTable.NameInfo(ips=addresses, registry=found.registry.value)
    if found.registry is Registry.KUBERNETES and not found.key.host.endswith(_CLUSTER_SET):
        # The agent answers for the shorter forms of the name too.
        info.namespace = found.key.namespace
        info.shortname = found.name
    return info


def _entry(host: str, info: NameTable.NameInfo) -> bytes:
    return delimited(_TABLE, delimited(1, host.encode()) + delimited(2, serialised(info)))
