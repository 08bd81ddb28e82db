"""Which clusters a service has, and which endpoints each of them takes.

From a service and the DestinationRules in force for it to one outlet per port and subset. Clusters and their
assignments are compiled from the same outlets, so that neither can miss the other.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pilotpy.compile.draft import EDS, Outlet, defaults, discovery
from pilotpy.compile.features import locality as topology
from pilotpy.compile.features.locality import Spread, spread
from pilotpy.compile.outbound import offered
from pilotpy.compile.split_horizon import is_behind_gateways
from pilotpy.engine import Asking, query
from pilotpy.mesh.clusters import are_several, keeps_to_its_cluster
from pilotpy.mesh.scopes import members
from pilotpy.mesh.service import Resolution, Service, ServiceKey
from pilotpy.mesh.services import service
from pilotpy.mesh.traffic_policy import NO_RULE, TrafficRule, traffic_rule
from pilotpy.mesh.view import Part, Parts, Place
from pilotpy.model.resource import Finding, Ref, Severity
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster

PERSISTENT_SESSION: Final = "istio.io/persistent-session"  # a service's label: sessions outlive their endpoint's drain

_NO_CLUSTER: Final = frozenset({Resolution.ALIAS, Resolution.DYNAMIC_DNS})
_LOCALITY: Final = frozenset({topology.REGION, topology.ZONE, topology.SUBZONE})


class Choice(NamedTuple):
    """Which endpoints of a port a cluster takes, and what a client's place means for them. A key of queries."""

    discovery: Cluster.DiscoveryType = EDS
    labels: tuple[tuple[str, str], ...] = ()  # sorted; endpoints must have all of them
    unready: bool = True  # takes endpoints that are not ready, as unhealthy ones
    draining: bool = False  # takes endpoints that drain
    same_node: bool = False  # takes only those on the client's node
    same_cluster: bool = False  # takes only those of the client's cluster
    split: bool = False  # some of them are behind gateways for clients of other networks
    spread: Spread | None = None
    mutual: bool | None = None  # whether a rule asks for Istio's mutual TLS; None: no rule says how to speak

    @property
    def needs(self) -> frozenset[str]:
        """The labels of a client's place that the answer depends on; empty: all clients get the same."""
        needed = (
            (self.same_node, topology.NODE),
            (self.same_cluster, topology.CLUSTER),
            (self.split, topology.NETWORK),
        )
        found = {label for is_needed, label in needed if is_needed}
        if self.spread is not None:
            found |= {label.partition("=")[0] for label in self.spread.labels if "=" not in label}
            if self.spread.distribute or self.spread.nearest_first or self.spread.region_first:
                found.add(topology.REGION)
        return frozenset(found)


class Placed(NamedTuple):
    """The outlets of a part whose endpoints depend on where the client is."""

    outlets: tuple[tuple[ServiceKey, Outlet], ...]  # in the order of the part's members
    needs: frozenset[str]


def narrowed(place: Place, needs: frozenset[str]) -> Place:
    """A place with nothing in it but what is needed, so that clients who differ in the rest share answers."""
    return Place(
        locality=place.locality if needs & _LOCALITY else Place().locality,
        network=place.network if topology.NETWORK in needs else "",
        cluster=place.cluster if topology.CLUSTER in needs else Place().cluster,
        node=place.node if topology.NODE in needs else "",
        labels=tuple(pair for pair in place.labels if pair[0] in needs),
        lacks=place.lacks if topology.NETWORK in needs else Place().lacks,
    )


@query
def outlets(q: Asking, key: ServiceKey, rules: tuple[Ref, ...], ports: tuple[int, ...]) -> tuple[Outlet, ...]:
    """One outlet per port and subset: in the service's order of ports, all endpoints first, then the rule's subsets."""
    found = q(service, key)
    if found is None or found.resolution in _NO_CLUSTER:
        if found is not None and found.resolution is Resolution.DYNAMIC_DNS:
            q.note(_unsupported(found))
        return ()
    subsets = [subset.name for subset in q(traffic_rule, rules).subsets] if rules else []
    return tuple(Outlet(rules, port.number, name) for port in offered(found.ports, ports) for name in ("", *subsets))


@query
def choice(q: Asking, key: ServiceKey, outlet: Outlet) -> Choice:
    """Which endpoints an outlet takes."""
    found = q(service, key)
    rule = q(traffic_rule, outlet.rules) if outlet.rules else NO_RULE
    policy = rule.policy(outlet.port, outlet.subset)
    subset = rule.subset(outlet.subset)
    if found is None:
        return Choice()
    port = next((port for port in found.ports if port.number == outlet.port), None)
    detection = policy.outlier_detection
    panics = detection is not None and detection.min_health_percent > 0
    return Choice(
        discovery=discovery(found.resolution, policy),
        labels=tuple(sorted(subset.labels.items())) if subset else (),
        # Where a share of unhealthy endpoints lets requests go to all of them, those not ready must not be among them.
        unready=bool(found.traffic_distribution) or not panics,
        draining=keeps_sessions(found),
        same_node=found.internal_traffic_local,
        same_cluster=q(are_several) and (found.internal_traffic_local or keeps_to_its_cluster(q, key.host)),
        split=port is not None and is_behind_gateways(q, key, port.name),
        spread=spread(policy.load_balancer, found.traffic_distribution, q(defaults), detects=detection is not None),
        mutual=_mutual(rule, outlet),
    )


@query
def placed(q: Asking, part: Part) -> Placed:
    """The outlets of a part whose endpoints depend on where the client is; most meshes have few."""
    found: list[tuple[ServiceKey, Outlet]] = []
    needs: frozenset[str] = frozenset()
    for member in q(members, part):
        for outlet in q(outlets, member.service, member.rules, member.ports):
            needed = q(choice, member.service, outlet).needs
            if needed:
                found.append((member.service, outlet))
                needs |= needed
    return Placed(tuple(found), needs)


def keeps_sessions(service: Service) -> bool:
    """Whether endpoints that drain still serve the sessions that they hold."""
    return any(name == PERSISTENT_SESSION and value for name, value in service.labels)


def _mutual(rule: TrafficRule, outlet: Outlet) -> bool | None:
    # What a port says of everything but TLS stands beside what the rule says of it.
    tls = rule.policy(outlet.port, outlet.subset).tls or rule.policy(0, outlet.subset).tls
    return None if tls is None else tls.mode == "ISTIO_MUTUAL"


def _unsupported(found: Service) -> Finding:
    return Finding(
        code="PP0304",
        severity=Severity.WARNING,
        message=f"Host {found.key.host} is not compiled: resolution DYNAMIC_DNS is not supported yet",
        ref=Ref(*found.source),
        field="spec.resolution",
        hint="Name the hosts one by one, with resolution DNS",
    )


@query
def run_needs(q: Asking, run: Parts) -> frozenset[str]:
    """The labels of a client's place that some parts depend on; empty for most."""
    return frozenset().union(*(q(placed, part).needs for part in run))
