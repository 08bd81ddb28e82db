"""VirtualService: rules that Istio admits.

Source: istio/istio pkg/config/validation/validation.go, ValidateVirtualService.
"""

from __future__ import annotations

from collections.abc import Iterator

from pilotpy.model.resource import Resource
from pilotpy.model.virtual_service import (
    Destination,
    HTTPMatchRequest,
    L4MatchAttributes,
    RouteDestination,
    TCPRoute,
    TLSMatchAttributes,
    TLSRoute,
    VirtualService,
)
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import names, unreachable, values
from pilotpy.schema.validation.http_route import destination, http_route, weights
from pilotpy.schema.validation.selectors import exports

_AUTO_PASSTHROUGH = "outbound_"


def virtual_service(resource: Resource[VirtualService]) -> Problems:
    """What is wrong with a VirtualService."""
    spec = resource.spec
    gateway = bool(spec.gateways) and "mesh" not in spec.gateways
    if not spec.hosts:
        yield from _delegate(spec)
    yield from names.gateways(spec.gateways, "spec.gateways")
    yield from _hosts(spec, gateway=gateway)
    if not (spec.http or spec.tls or spec.tcp):
        yield Problem("spec", "One of http, tls and tcp is needed")
    for i, http in enumerate(spec.http):
        at = below("spec.http", i)
        yield from http_route(http, at, delegate=not spec.hosts)
        if not gateway:
            for j, match in enumerate(http.match):
                yield from _claims(match, below(f"{at}.match", j))
    for i, tls in enumerate(spec.tls):
        yield from _tls_route(tls, spec, below("spec.tls", i), gateway=gateway)
    for i, tcp in enumerate(spec.tcp):
        yield from _tcp_route(tcp, below("spec.tcp", i))
    yield from exports(spec.export_to, resource.meta.namespace, "spec.exportTo")
    yield from unreachable.http_rules(spec.http, "spec.http")
    yield from unreachable.rules(spec.tcp, "spec.tcp")
    yield from unreachable.rules(spec.tls, "spec.tls")


def _delegate(spec: VirtualService) -> Problems:
    """Without hosts it is there for others to delegate to: for their hosts and gateways, and HTTP only."""
    for field, given in (("gateways", spec.gateways), ("tls", spec.tls), ("tcp", spec.tcp)):
        if given:
            yield Problem(f"spec.{field}", f"A VirtualService without hosts is a delegate: it may have no {field}")


def _hosts(spec: VirtualService, *, gateway: bool) -> Problems:
    sni = any(match.sni_hosts for route in spec.tls for match in route.match)
    wrong: list[Problem] = []
    for i, host in enumerate(spec.hosts):
        at = below("spec.hosts", i)
        if not names.is_address(host):
            wrong += _host(host, at, sni=gateway and sni)
        if host == "*" and not gateway:
            wrong.append(Problem(at, 'Host "*" is only for gateways, not for the mesh'))
    yield from wrong
    if wrong:
        return
    first = {host: i for i, host in reversed(list(enumerate(spec.hosts)))}
    for i, host in enumerate(spec.hosts):
        for j in {first[wide] for wide in (host, *_wider(host)) if wide in first} - {i}:
            yield Problem(below("spec.hosts", max(i, j)), f"Hosts {spec.hosts[j]!r} and {host!r} overlap")


def _wider(host: str) -> Iterator[str]:
    """The wildcards that stand for the host, and for more."""
    start = 2 if host.startswith("*") else 0
    return (f"*{host[i:]}" for i in range(start, len(host) + 1))


def _host(host: str, at: str, *, sni: bool) -> Problems:
    if sni and host.startswith(_AUTO_PASSTHROUGH):
        _, port, _, *rest = [*host.split("_"), "", "", ""][:4]
        if not (port.strip(".") and any(map(str.isdigit, port)) and rest and any(map(str.isalpha, rest[0]))):
            yield Problem(at, f"{host!r} is not of the form outbound_.PORT_._.HOST")
    else:
        yield from names.wildcard_domain(host, at)


def _claims(match: HTTPMatchRequest, at: str) -> Problems:
    for field, given in (("headers", match.headers), ("withoutHeaders", match.without_headers)):
        for name in given:
            if values.is_claim(name):
                yield Problem(below(below(at, field), name), "Claims are only matched at gateways, not in the mesh")


def _tls_route(route: TLSRoute, spec: VirtualService, at: str, *, gateway: bool) -> Problems:
    if not route.match:
        yield Problem(f"{at}.match", "A TLS rule needs a match with sniHosts")
    for i, match in enumerate(route.match):
        here = below(f"{at}.match", i)
        if not match.sni_hosts:
            yield Problem(f"{here}.sniHosts", "A TLS match needs sniHosts")
        for j, host in enumerate(match.sni_hosts):
            yield from _sni_host(host, spec, below(f"{here}.sniHosts", j), gateway=gateway)
        yield from _connection(match, here)
    yield from _destinations(route.route, f"{at}.route")


def _sni_host(host: str, spec: VirtualService, at: str, *, gateway: bool) -> Problems:
    wrong = list(_host(host, at, sni=gateway))
    if wrong and names.is_address(host):
        yield warning(
            at, f"{host!r} is an address: clients send names in SNI", "Match the address by destinationSubnets"
        )
    elif wrong:
        yield from wrong
    elif not any(names.covers(wide, host) for wide in spec.hosts):
        yield Problem(at, f"{host!r} is covered by none of the hosts {', '.join(spec.hosts)}", "Add it to spec.hosts")


def _tcp_route(route: TCPRoute, at: str) -> Problems:
    for i, match in enumerate(route.match):
        yield from _connection(match, below(f"{at}.match", i))
    yield from _destinations(route.route, f"{at}.route")


def _connection(match: L4MatchAttributes | TLSMatchAttributes, at: str) -> Problems:
    for i, subnet in enumerate(match.destination_subnets):
        yield from names.subnet(subnet, below(f"{at}.destinationSubnets", i))
    if match.port:
        yield from names.port(match.port, f"{at}.port")
    yield from names.labels(match.source_labels, f"{at}.sourceLabels")
    yield from names.gateways(match.gateways, f"{at}.gateways")


def _destinations(route: tuple[RouteDestination, ...], at: str) -> Problems:
    if not route:
        yield Problem(at, "A rule needs a route")
    for i, one in enumerate(route):
        yield from _target(one.destination, below(at, i))
    yield from weights(route, at)


def _target(given: Destination | None, at: str) -> Problems:
    if given is None:
        yield Problem(f"{at}.destination", "The destination is missing")
    else:
        yield from destination(given, f"{at}.destination")
