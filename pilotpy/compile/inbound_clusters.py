"""From the ports of a workload to the clusters through which its own proxy reaches it.

One for each port that services name, or for each port that the workload's Sidecar opens instead. Source: istiod's
``buildInboundClusters`` in ``pilot/pkg/networking/core/cluster.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from pilotpy.compile.draft import ORIGINAL_DST, Dialect, Draft, Shape, defaults
from pilotpy.compile.encoded import EMPTY, Encoded, Tree
from pilotpy.compile.fallback_clusters import bound_to_loopback
from pilotpy.compile.metadata import ISTIO, Value, config_path, filter_metadata, service_fields
from pilotpy.compile.naming import STAT_END, inbound_cluster_name
from pilotpy.compile.pieces import address
from pilotpy.compile.settings import INBOUND, finished
from pilotpy.compile.stat_name import stat_name
from pilotpy.compile.wire import delimited
from pilotpy.engine import Asking, query
from pilotpy.mesh.destination_rules import rules_for
from pilotpy.mesh.kinds import SIDECARS
from pilotpy.mesh.protocol import named_protocol
from pilotpy.mesh.service import Port, Protocol, Service
from pilotpy.mesh.services import service
from pilotpy.mesh.traffic_policy import NO_POLICY, NO_RULE, traffic_rule, with_baseline
from pilotpy.mesh.view import Inbound, Target
from pilotpy.model.destination_rule import TrafficPolicy
from pilotpy.model.resource import Ref
from pilotpy.model.sidecar import IstioIngressListener
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster

LOCALHOST: Final = "127.0.0.1"
LOCALHOST6: Final = "::1"

# Envoy forgets connections' destinations after a while; there is only one, so never. The longest that Go can say.
_NEVER: Final = 9223372035


class Opened(NamedTuple):
    """A port of the workload that gets a cluster."""

    number: int  # names the cluster
    protocol: Protocol | None = None  # None: as the service's port has it
    upstream: tuple[str, int] | None = None  # where connections go; None: where they were going
    target: Target | None = None  # the service port that it serves, if there is one
    rules: tuple[Ref, ...] = ()  # DestinationRules for that service, as the workload's own namespace sees it


@query
def inbound_clusters(q: Asking, inbound: Inbound, spoken: Dialect) -> Tree:
    """The clusters of a workload's ports, sorted by port; may be empty."""
    return Tree(q(inbound_cluster, opened, inbound.sidecar, spoken) for opened in q(opened_ports, inbound, spoken))


@query
def opened_ports(q: Asking, inbound: Inbound, spoken: Dialect) -> tuple[Opened, ...]:
    """The ports that a workload opens, sorted: those of its Sidecar's ingress if it has any, else those of services."""
    found = q.get(SIDECARS, inbound.sidecar.namespace, inbound.sidecar.name) if inbound.sidecar else None
    served = {target.target: target for target in inbound.targets}
    if found and found.spec.ingress:
        opened = [_from_ingress(each, inbound, served, spoken) for each in found.spec.ingress]
    else:
        to_localhost = q(defaults).inbound_to_localhost
        opened = [
            Opened(number, upstream=(_localhost(spoken), number) if to_localhost else None, target=target)
            for number, target in served.items()
        ]
    return tuple(
        each._replace(rules=rules_for(q, inbound.namespace, each.target.service, ())) if each.target else each
        for each in sorted(opened, key=lambda each: each.number)
        if each.number
    )


def _from_ingress(
    ingress: IstioIngressListener, inbound: Inbound, served: Mapping[int, Target], spoken: Dialect
) -> Opened:
    number = ingress.port.number if ingress.port else 0
    protocol = named_protocol(ingress.port.protocol) if ingress.port else None
    return Opened(number, protocol, _upstream(ingress.default_endpoint, inbound, spoken), served.get(number))


def _upstream(endpoint: str, inbound: Inbound, spoken: Dialect) -> tuple[str, int] | None:
    if endpoint.startswith("unix://"):
        return endpoint, 0
    host, _, port = endpoint.rpartition(":")
    if not port.isdecimal():
        return None
    if host in {"0.0.0.0", "[::]"}:  # noqa: S104 - the user's word for the workload's own address
        return inbound.address or _localhost(spoken), int(port)
    return _localhost(spoken, prefers_v6=host == f"[{LOCALHOST6}]"), int(port)


def _localhost(spoken: Dialect, *, prefers_v6: bool = False) -> str:
    return LOCALHOST6 if spoken.ipv6 and (prefers_v6 or not spoken.ipv4) else LOCALHOST


@query(otherwise=lambda *_: EMPTY)
def inbound_cluster(q: Asking, opened: Opened, sidecar: Ref | None, spoken: Dialect) -> Tree:
    """The cluster of one port: no choice among endpoints and no outlier detection, but limits on connections."""
    shared = q(defaults)
    served = _served(q, opened)
    policy, rule = _policy(q, opened, sidecar)
    protocol = opened.protocol or (served.port.protocol if served else Protocol.AUTO)
    draft = Draft(Shape(protocol, inbound=True), with_baseline(policy, shared.traffic_policy), shared, spoken)
    name = inbound_cluster_name(opened.number)
    draft.cluster.name = name
    stats = name
    if served and shared.inbound_stat_name:
        stats = stat_name(shared.inbound_stat_name, served.service, served.port, target_port=opened.number)
    draft.cluster.alt_stat_name = stats + STAT_END
    draft.cluster.common_lb_config.SetInParent()
    _upstream_of(draft, opened.upstream)
    for feature in INBOUND:
        feature(draft)
    return Tree((Encoded(name, finished(draft) + _metadata(served, rule)),))


class _Served(NamedTuple):
    service: Service
    port: Port
    besides: tuple[Service, ...]  # metrics count what arrives for these services, too


def _served(q: Asking, opened: Opened) -> _Served | None:
    target = opened.target
    found = q(service, target.service) if target else None
    if target is None or found is None:
        return None
    port = next((port for port in found.ports if port.number == target.port), None)
    besides = (q(service, key) for key in target.besides)
    return _Served(found, port, tuple(one for one in besides if one)) if port else None


def _policy(q: Asking, opened: Opened, sidecar: Ref | None) -> tuple[TrafficPolicy, Ref | None]:
    """The policy of a port, and the DestinationRule that says it. The Sidecar's limits come before the rule's."""
    rule = q(traffic_rule, opened.rules) if opened.rules else NO_RULE
    policy = rule.policy(opened.target.port) if opened.target else NO_POLICY
    found = q.get(SIDECARS, sidecar.namespace, sidecar.name) if sidecar else None
    if found is not None:
        own = (each.connection_pool for each in found.spec.ingress if each.port and each.port.number == opened.number)
        pool = next(own, None) or found.spec.inbound_connection_pool
        if pool is not None:
            policy = msgspec.structs.replace(policy, connection_pool=pool)
    return policy, rule.ref if rule.traffic_policy is not None else None


def _upstream_of(draft: Draft, upstream: tuple[str, int] | None) -> None:
    cluster = draft.cluster
    if upstream is None:
        cluster.type = ORIGINAL_DST
        cluster.lb_policy = Cluster.LbPolicy.CLUSTER_PROVIDED
        cluster.cleanup_interval.seconds = _NEVER
    else:
        cluster.type = Cluster.DiscoveryType.STATIC
        cluster.load_assignment.cluster_name = cluster.name
        listed = cluster.load_assignment.endpoints.add().lb_endpoints.add()
        listed.endpoint.address.CopyFrom(address(*upstream))
    if upstream is None or upstream[0] not in {LOCALHOST, LOCALHOST6}:
        cluster.upstream_bind_config.CopyFrom(bound_to_loopback(draft.dialect))


def _metadata(served: _Served | None, rule: Ref | None) -> bytes:
    if served is None or served.service.mesh_external:
        return b""
    fields: dict[str, Value] = {"services": [service_fields(one) for one in (served.service, *served.besides)]}
    if rule is not None:
        fields["config"] = config_path(rule)
    return delimited(Cluster.METADATA_FIELD_NUMBER, filter_metadata(ISTIO, fields))
