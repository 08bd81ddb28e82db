"""From a service's port that is not HTTP to the ways its connections go: the VirtualServices' rules, then the default.

Source: istiod's core/networkfilter.go and core/tls.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pilotpy.compile.destinations import Target, target
from pilotpy.compile.listener_settings import Terms
from pilotpy.compile.naming import BLACK_HOLE, cluster_name
from pilotpy.compile.network_filters import TcpRoute, Tunnel
from pilotpy.compile.outbound import ranges
from pilotpy.compile.stat_name import stat_name
from pilotpy.engine import Asking
from pilotpy.mesh.aliases import aliases
from pilotpy.mesh.opaque_rules import OpaqueRule, Source, holds, opaque_rules
from pilotpy.mesh.own import selected_for_all
from pilotpy.mesh.service import Port, Protocol, Service
from pilotpy.mesh.services import holder, service
from pilotpy.mesh.traffic_policy import NO_POLICY, traffic_rule
from pilotpy.mesh.view import Selected
from pilotpy.model.resource import Finding, Ref, Severity
from pilotpy.model.virtual_service import Destination, TLSMatchAttributes

_TLS = frozenset({Protocol.TLS, Protocol.HTTPS})


class Way(NamedTuple):
    """Connections that match go somewhere."""

    route: TcpRoute
    server_names: tuple[str, ...] = ()  # empty: any
    subnets: tuple[str, ...] = ()  # of the destination; empty: any
    origin: Ref | None = None  # the VirtualService that says so; None: the default
    service: Ref | None = None  # the object that the service comes from
    field: str = ""  # of its rule, or of the service that has no rule
    mongo: bool = False  # MongoDB's messages are counted


class Client(NamedTuple):
    """What the ways of a service depend on besides the service: the policies that hold for the client."""

    selected: Selected
    source: Source
    terms: Terms


def ways(q: Asking, found: Service, port: Port, client: Client, *, shares: bool) -> list[Way]:
    """The ways of a port's connections, most important first; later ones may match what earlier ones do.

    A service that shares the wildcard address is told apart by its subnets and, over TLS, by its names.
    """
    subnets = ranges(found) if shares else ()
    tls = port.protocol in _TLS
    found_ways: list[Way] = []
    for rule in _rules(q, client, tls=tls):
        for names, to in _matched(rule, port, client.source):
            found_ways.append(Way(_ruled(q, rule, port, client), names, to or subnets, rule.ref, field=rule.field))
            if not tls and not to:
                return found_ways
    if tls and found_ways:
        return found_ways
    names = (found.key.host, *aliases(q, found.key.host)) if tls and shares else ()
    return [*found_ways, Way(_default(q, found, port, client), names, subnets, field="spec.hosts")]


def _rules(q: Asking, client: Client, *, tls: bool) -> list[OpaqueRule]:
    return [rule for ref in client.selected.routes for rule in q(opaque_rules, ref) if rule.tls == tls]


def _matched(rule: OpaqueRule, port: Port, source: Source) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The server names and subnets of each filter chain that a rule comes to."""
    if not rule.matches and not rule.tls:
        yield (), ()
        return
    matches = [match for match in rule.matches if holds(match, port.number, source)]
    if rule.tls:
        for match in matches:
            if isinstance(match, TLSMatchAttributes):
                yield match.sni_hosts, match.destination_subnets
    elif any(not match.destination_subnets for match in matches):
        yield (), ()
    elif matches:
        yield (), tuple(dict.fromkeys(subnet for match in matches for subnet in match.destination_subnets))


def _default(q: Asking, found: Service, port: Port, client: Client) -> TcpRoute:
    cluster = cluster_name(port.number, "", found.key.host)
    prefix = _stat_prefix(found, port.number, "", client) or cluster
    return _limited(q, TcpRoute(prefix, ((cluster, 1),)), client.selected, "", client)


def _stat_prefix(found: Service, number: int, subset: str, client: Client) -> str:
    """What the mesh's pattern makes of a destination; empty if it has none, or there is no such port."""
    pattern = client.terms.settings.outbound_stat_name
    port = next((port for port in found.ports if port.number == number), None)
    return stat_name(pattern, found, port, subset=subset) if pattern and port is not None else ""


def _ruled(q: Asking, rule: OpaqueRule, port: Port, client: Client) -> TcpRoute:
    weighed = [one for one in rule.route if len(rule.route) == 1 or one.weight > 0]
    clusters: dict[str, int] = {}
    for one in weighed:
        to = one.destination or Destination()
        cluster = _cluster(q, rule, to, port, client)
        clusters[cluster] = clusters.get(cluster, 0) + one.weight
    if not clusters:
        q.note(_nowhere(rule))
        clusters[BLACK_HOLE] = 1
    first = weighed[0].destination if weighed else None
    subset = first.subset if first is not None and len(weighed) == 1 else ""
    chosen = _chosen(q, first.host, client) if first is not None else None
    prefix = f"{rule.ref.name}.{rule.ref.namespace}"
    if len(rule.route) == 1:
        there = q(service, chosen.service) if chosen is not None else None
        number = first.port.number if first is not None and first.port else port.number
        prefix = (there and _stat_prefix(there, number, subset, client)) or next(iter(clusters))
    return _limited(q, TcpRoute(prefix, tuple(clusters.items())), chosen, subset, client)


def _cluster(q: Asking, rule: OpaqueRule, to: Destination, port: Port, client: Client) -> str:
    own = to.host == client.selected.service.host
    found = q(target, to, port.number, client.selected if own else None)
    if found.flaw:
        q.note(_astray(rule, found))
    return found.cluster


def _chosen(q: Asking, host: str, client: Client) -> Selected | None:
    if host == client.selected.service.host:
        return client.selected
    key = q(holder, host)
    return q(selected_for_all, key) if key is not None else None


def _limited(q: Asking, route: TcpRoute, chosen: Selected | None, subset: str, client: Client) -> TcpRoute:
    """The route with what the DestinationRules of its destination say about connections."""
    route = route._replace(idle_timeout=client.terms.listening.idle_timeout)
    if chosen is None or not chosen.rules:
        return route
    rule = q(traffic_rule, chosen.rules)
    policy = rule.traffic_policy or NO_POLICY
    tcp = policy.connection_pool.tcp if policy.connection_pool else None
    of_subset = rule.subset(subset)
    narrower = of_subset.traffic_policy if of_subset is not None else None
    balancing = (narrower and narrower.load_balancer) or policy.load_balancer
    hashing = balancing.consistent_hash if balancing else None
    tunnel = (narrower and narrower.tunnel) or policy.tunnel
    return route._replace(
        idle_timeout=(tcp and tcp.idle_timeout) or route.idle_timeout,
        max_duration=tcp.max_connection_duration if tcp else None,
        by_source=bool(hashing and hashing.use_source_ip),
        tunnel=Tunnel(f"{tunnel.target_host}:{tunnel.target_port}", tunnel.protocol == "POST") if tunnel else None,
    )


def _astray(rule: OpaqueRule, found: Target) -> Finding:
    return Finding(
        code=found.code,
        severity=Severity.ERROR,
        message=f"Connections go nowhere: {found.flaw[0].lower()}{found.flaw[1:]}",
        ref=rule.ref,
        field=f"{rule.field}.route",
        hint="Name a service, port and subset that exist",
    )


def _nowhere(rule: OpaqueRule) -> Finding:
    return Finding(
        code="PP0203",
        severity=Severity.ERROR,
        message="Connections go nowhere: no destination has a weight",
        ref=rule.ref,
        field=f"{rule.field}.route",
        hint="Give one of the destinations a weight above 0",
    )
