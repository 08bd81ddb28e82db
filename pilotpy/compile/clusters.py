"""From services and their DestinationRules to Envoy clusters.

A cluster is settings, which it shares with all of its shape and policy, and a few bytes of its own: names, metadata
and, where DNS finds them, endpoints.

Source: istiod's ``pilot/pkg/networking/core/cluster.go`` and ``cluster_builder.go``.
"""

from __future__ import annotations

from typing import Final

from pilotpy.compile.arrangement import NOWHERE
from pilotpy.compile.draft import EDS, LOGICAL_DNS, ORIGINAL_DST, STRICT_DNS, Dialect, Outlet, Shape, defaults
from pilotpy.compile.encoded import EMPTY, Encoded, Rope, Tree
from pilotpy.compile.endpoints import groups
from pilotpy.compile.fallback_clusters import inbound_passthrough, outbound_fallbacks
from pilotpy.compile.features.tls import is_originated
from pilotpy.compile.inbound_clusters import inbound_clusters
from pilotpy.compile.load_assignment import load_assignment
from pilotpy.compile.metadata import ISTIO, Value, config_path, filter_metadata, service_fields
from pilotpy.compile.naming import STAT_END, cluster_name
from pilotpy.compile.outlets import choice, keeps_sessions, narrowed, outlets, placed, run_needs
from pilotpy.compile.pieces import ads, number
from pilotpy.compile.settings import outbound_settings
from pilotpy.compile.stat_name import stat_name
from pilotpy.compile.transport_sockets import Upstream, transport_sockets
from pilotpy.compile.wire import delimited, serialised
from pilotpy.engine import Asking, query
from pilotpy.mesh.scopes import members, runs
from pilotpy.mesh.service import Port, Registry, Service, ServiceKey
from pilotpy.mesh.services import service
from pilotpy.mesh.traffic_policy import NO_RULE, traffic_rule
from pilotpy.mesh.view import Features, Inbound, Part, Parts, Place, Scope
from pilotpy.model.resource import Finding, Ref, Severity
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster

INLINE: Final = frozenset({STRICT_DNS, LOGICAL_DNS})  # the cluster itself lists its endpoints

_EDS_CONFIG: Final = delimited(Cluster.EdsClusterConfig.EDS_CONFIG_FIELD_NUMBER, serialised(ads()))


def dialect(features: Features) -> Dialect:
    """What of a proxy's features its clusters depend on."""
    return Dialect(features.istio, features.ipv4, features.ipv6, features.client_files, features.keyless)


@query
def clusters(q: Asking, scope: Scope, inbound: Inbound, place: Place, features: Features) -> Tree:
    """Every cluster of a proxy: those of services by namespace, the fallbacks, then its own ports; names unique."""
    spoken = dialect(features)
    return Tree(
        (
            *(q(run_clusters, run, spoken, narrowed(place, q(run_needs, run))) for run in q(runs, scope.parts)),
            q(outbound_fallbacks, spoken),
            q(inbound_clusters, inbound, spoken),
            q(inbound_passthrough, spoken),
        )
    )


@query
def run_clusters(q: Asking, run: Parts, spoken: Dialect, place: Place) -> Tree:
    """The clusters of some parts."""
    return Tree(
        branch
        for part in run
        for branch in (
            q(part_clusters, part, spoken),
            q(placed_clusters, part, spoken, narrowed(place, q(placed, part).needs)),
        )
    )


@query
def part_clusters(q: Asking, part: Part, spoken: Dialect) -> Tree:
    """The clusters of a part that are the same wherever the client is."""
    return Tree(q(service_clusters, m.service, m.rules, m.ports, spoken) for m in q(members, part))


@query
def service_clusters(
    q: Asking, key: ServiceKey, rules: tuple[Ref, ...], ports: tuple[int, ...], spoken: Dialect
) -> Tree:
    """The clusters of a service that are the same wherever the client is: by port, all endpoints before subsets."""
    found = q(outlets, key, rules, ports)
    return Tree(q(cluster, key, outlet, spoken, NOWHERE) for outlet in found if not _is_placed(q, key, outlet))


@query
def placed_clusters(q: Asking, part: Part, spoken: Dialect, place: Place) -> Tree:
    """The clusters of a part that list their endpoints in the order of the client's place; usually empty."""
    return Tree(
        q(cluster, key, outlet, spoken, narrowed(place, q(choice, key, outlet).needs))
        for key, outlet in q(placed, part).outlets
        if _is_placed(q, key, outlet)
    )


def _is_placed(q: Asking, key: ServiceKey, outlet: Outlet) -> bool:
    chosen = q(choice, key, outlet)
    return chosen.discovery in INLINE and bool(chosen.needs)


@query(otherwise=lambda *_: EMPTY)
def cluster(q: Asking, key: ServiceKey, outlet: Outlet, spoken: Dialect, place: Place) -> Tree:
    """One cluster; none if the service lost the port, or if the cluster would list endpoints and has none."""
    found = q(service, key)
    port = next((port for port in found.ports if port.number == outlet.port), None) if found else None
    if found is None or port is None:
        return EMPTY
    shape = _shape(found, port, outlet.subset)
    settings = q(outbound_settings, shape, outlet if outlet.rules else Outlet(), spoken)
    name = cluster_name(outlet.port, outlet.subset, key.host)
    own = [_names(q, name, found, port, outlet.subset), _metadata(q, found, outlet)]
    if settings.discovery == EDS:
        service_name = delimited(Cluster.EdsClusterConfig.SERVICE_NAME_FIELD_NUMBER, name.encode())
        own.append(delimited(Cluster.EDS_CLUSTER_CONFIG_FIELD_NUMBER, _EDS_CONFIG + service_name))
    elif settings.discovery == ORIGINAL_DST:
        own.append(_port_override(found, port))
    else:
        listed = groups(q, key, outlet, q(choice, key, outlet), place)
        if not listed:
            q.note(_without_endpoints(found, name))
            return EMPTY
        if settings.discovery == LOGICAL_DNS and sum(len(group.endpoints) for group in listed) > 1:
            q.note(_too_many_endpoints(found, name))
            listed = (listed[0]._replace(priority=0, endpoints=listed[0].endpoints[:1]),)
        own.append(delimited(Cluster.LOAD_ASSIGNMENT_FIELD_NUMBER, load_assignment(name, listed)))
    own.append(transport_sockets(q, Upstream(found, port, outlet, settings, spoken)))
    return Tree((Encoded(name, Rope((settings.body, b"".join(own)))),))


def _shape(found: Service, port: Port, subset: str) -> Shape:
    return Shape(
        port.protocol,
        found.resolution,
        traffic_distribution=found.traffic_distribution,
        persistent_sessions=not subset and keeps_sessions(found),
    )


def _names(q: Asking, name: str, found: Service, port: Port, subset: str) -> bytes:
    pattern = q(defaults).outbound_stat_name
    stats = stat_name(pattern, found, port, subset=subset) if pattern else name
    return delimited(Cluster.NAME_FIELD_NUMBER, name.encode()) + delimited(
        Cluster.ALT_STAT_NAME_FIELD_NUMBER, (stats + STAT_END).encode()
    )


def _metadata(q: Asking, found: Service, outlet: Outlet) -> bytes:
    rule = q(traffic_rule, outlet.rules) if outlet.rules else NO_RULE
    fields: dict[str, Value] = {"services": [service_fields(found)]}
    if rule.ref is not None:
        fields["config"] = config_path(rule.ref)
    if is_originated(rule.policy(outlet.port, outlet.subset).tls):
        fields["alpn_override"] = "false"  # the server need not know Istio's protocols
    if outlet.subset:
        fields["subset"] = outlet.subset
    elif found.mesh_external:
        fields["external"] = True
    return delimited(Cluster.METADATA_FIELD_NUMBER, filter_metadata(ISTIO, fields))


def _port_override(found: Service, port: Port) -> bytes:
    """The port that a passed-through connection goes to, where a ServiceEntry names another than the client's."""
    if found.registry is Registry.KUBERNETES or not isinstance(port.target, int) or not port.target:
        return b""
    override = Cluster.OriginalDstLbConfig(upstream_port_override=number(port.target))
    return delimited(Cluster.ORIGINAL_DST_LB_CONFIG_FIELD_NUMBER, serialised(override))


def _without_endpoints(found: Service, name: str) -> Finding:
    return Finding(
        code="PP0305",
        severity=Severity.WARNING,
        message=f"Cluster {name} is left out: DNS would find its endpoints, and it has none",
        ref=Ref(*found.source),
        hint="Name at least one endpoint, or for a subset one with all of its labels",
    )


def _too_many_endpoints(found: Service, name: str) -> Finding:
    return Finding(
        code="PP0306",
        severity=Severity.WARNING,
        message=f"Cluster {name} has one of its endpoints only: DNS_ROUND_ROBIN resolves a single name",
        ref=Ref(*found.source),
        field="spec.resolution",
        hint="Keep one endpoint, or write resolution DNS",
    )
