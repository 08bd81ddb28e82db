"""From a scope to the route configurations that its outbound listeners ask for.

A configuration is joined namespace by namespace of virtual hosts, which all clients share that see the same services
under the same names. Source: Envoy ``config/route/v3/route.proto``,
istiod's ``pilot/pkg/networking/core/httproute.go``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pilotpy.compile.domain_claims import loose_hosts, withheld
from pilotpy.compile.domains import Called
from pilotpy.compile.encoded import Encoded, Rope, Tree
from pilotpy.compile.features.direct_responses import MOST_BYTES
from pilotpy.compile.outbound import (
    HTTP_PROXY_ROUTE,
    Exit,
    Manner,
    exits,
    http_ports,
    http_proxy_port,
    sniffed_ports,
    sniffed_route,
)
from pilotpy.compile.ports import by_port, on_port
from pilotpy.compile.vantage import Vantage, part_routes, run_routes, standpoint, toward, vantage
from pilotpy.compile.virtual_hosts import fallback_host, loose_host, sniffed_host, virtual_host
from pilotpy.compile.wire import serialised
from pilotpy.engine import Asking, query
from pilotpy.mesh.aliases import aliases
from pilotpy.mesh.hosts import kubernetes_name
from pilotpy.mesh.scopes import members, runs
from pilotpy.mesh.service import Protocol
from pilotpy.mesh.view import Listening, Part, Parts, Scope, Selected
from pilotpy_protos.envoy.config.route.v3.route_pb2 import RouteConfiguration


@query
def routes(q: Asking, scope: Scope, listening: Listening) -> Tree:
    """Every route configuration that the listeners of a scope ask for, by its name; the port, for most."""
    proxy = (q(proxy_routes, scope, HTTP_PROXY_ROUTE),) if q(http_proxy_port, listening) else ()
    found = [q(exit_routes, way_out) for way_out in exits(scope, listening.mode)]
    every = found[0] if len(found) == 1 else Tree({one.name: one for tree in reversed(found) for one in tree}.values())
    return Tree((every, *proxy))


@query
def exit_routes(q: Asking, way_out: Exit) -> Tree:
    """The route configurations of one exit."""
    scope, manner = way_out
    if manner.protocol is Protocol.HTTP_PROXY:
        return Tree((q(proxy_routes, scope, str(manner.port)),))
    standing = standpoint(scope)
    return Tree(
        (
            *(q(port_routes, scope, port) for port in q(http_ports, scope.parts, manner)),
            *(q(run_sniffed, run, manner, vantage(q, standing, q(run_routes, run))) for run in q(runs, scope.parts)),
        )
    )


@query
def port_routes(q: Asking, scope: Scope, port: int) -> Encoded:
    """The route configuration of a port that all HTTP services share."""
    return _configuration(str(port), (*_hosts(q, scope, port, proxied=False), q(fallback_host, scope.fallback)))


@query
def proxy_routes(q: Asking, scope: Scope, name: str) -> Encoded:
    """The route configuration of an explicit HTTP proxy: all services on all ports."""
    ports = sorted({port for part in scope.parts for port, _ in q(by_port, part)} | {80})
    hosts = [host for port in ports for host in _hosts(q, scope, port, proxied=True)]
    return _configuration(name, (*hosts, q(fallback_host, scope.fallback)), ports_told_apart=True)


@query
def run_sniffed(q: Asking, run: Parts, manner: Manner, seen_from: Vantage) -> Tree:
    """As ``sniffed_routes``, of some parts."""
    return Tree(q(sniffed_routes, part, manner, toward(q, seen_from, q(part_routes, part))) for part in run)


@query
def sniffed_routes(q: Asking, part: Part, manner: Manner, seen_from: Vantage) -> Tree:
    """The route configurations of those ports of a part's services that have listeners of their own."""
    return Tree(
        q(sniffed_configuration, selected, port.number, toward(q, seen_from, selected.routes))
        for selected in q(members, part)
        for port in sniffed_ports(q, selected.service, selected.ports, manner)
    )


@query
def sniffed_configuration(q: Asking, selected: Selected, port: int, seen_from: Vantage) -> Encoded:
    """The route configuration of one sniffed port. It has no place for unknown destinations: there are none."""
    name = sniffed_route(selected.service.host, port)
    return _configuration(name, (q(sniffed_host, selected, port, seen_from),))


@query
def run_hosts(q: Asking, run: Parts, port: int, called: Called, seen_from: Vantage) -> Rope:
    """The virtual hosts of some parts' services on a port."""
    hosts: list[Rope] = []
    for part in run:
        near = called.near if called.near in q(part_namespaces, part) else ""
        lost = tuple(one for one in called.withheld if one[0].namespace == part.namespace)
        ours = Called(near, lost, called.proxied, called.cluster)
        hosts.append(q(part_hosts, part, port, ours, toward(q, seen_from, q(part_routes, part))))
    return Rope(hosts)


@query
def run_namespaces(q: Asking, run: Parts) -> frozenset[str]:
    """The namespaces in which a service of some parts has a name."""
    return frozenset().union(*(q(part_namespaces, part) for part in run))


@query
def part_hosts(q: Asking, part: Part, port: int, called: Called, seen_from: Vantage) -> Rope:
    """The virtual hosts of a part's services on a port, in the order of the services."""
    hosts: list[Rope] = []
    for selected in q(on_port, part, port):
        near = called.near if called.near and called.near in _namespaces(q, selected) else ""
        withheld = tuple(one for one in called.withheld if one[0] == selected.service)
        ours = Called(near, withheld, called.proxied, called.cluster)
        hosts.append(q(virtual_host, selected, port, ours, toward(q, seen_from, selected.routes)))
    return Rope(hosts)


@query
def part_namespaces(q: Asking, part: Part) -> frozenset[str]:
    """The namespaces in which a service of a part has a name."""
    return frozenset(namespace for selected in q(members, part) for namespace in _namespaces(q, selected))


def _hosts(q: Asking, scope: Scope, port: int, *, proxied: bool) -> Iterator[Rope]:
    denied = q(withheld, scope, port)
    standing = standpoint(scope)
    for run in q(runs, scope.parts):
        near = scope.namespace if scope.namespace in q(run_namespaces, run) else ""
        here = {part.namespace for part in run} if denied.services else ()
        lost = tuple((key, domain) for key, domain in denied.services if key.namespace in here)
        called = Called(near, lost, proxied, scope.cluster)
        yield q(run_hosts, run, port, called, vantage(q, standing, q(run_routes, run)))
    for host, ref in q(loose_hosts, scope, port):
        if (ref, host) not in denied.loose:
            yield q(loose_host, host, ref, port, vantage(q, standing, (ref,)))


def _namespaces(q: Asking, selected: Selected) -> set[str]:
    names = map(kubernetes_name, (selected.service.host, *aliases(q, selected.service.host)))
    return {name.namespace for name in names if name}


def _configuration(name: str, hosts: Iterable[Rope], *, ports_told_apart: bool = False) -> Encoded:
    head = RouteConfiguration(name=name, ignore_port_in_host_matching=not ports_told_apart)
    head.validate_clusters.value = False  # clusters may come later, or never: that route then answers 503
    head.max_direct_response_body_size_bytes.value = MOST_BYTES
    return Encoded(name, Rope((serialised(head), *hosts)))
