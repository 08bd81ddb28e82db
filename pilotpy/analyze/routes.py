"""What is doubtful about where VirtualServices send to: hosts, ports and subsets that do not exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from pilotpy.analyze.missing import missing
from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.config import export_default
from pilotpy.mesh.exports import Exporting, exports, sees
from pilotpy.mesh.hosts import is_wildcard, whole, within, zone, zones
from pilotpy.mesh.kinds import DESTINATION_RULES, VIRTUAL_SERVICES
from pilotpy.mesh.service_entries import ENTRIES_BY_ZONE, entry_hosts
from pilotpy.mesh.services import held_for, service
from pilotpy.model.destination_rule import DestinationRule
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.model.virtual_service import (
    Destination,
    HTTPRoute,
    HTTPRouteDestination,
    RouteDestination,
    TCPRoute,
    TLSRoute,
    VirtualService,
)


class Sending(NamedTuple):
    """One destination, and where it is written."""

    field: str  # "spec.http[0].route[0].destination"
    to: Destination
    mirrored: bool = False


def _subsets(rule: Resource[DestinationRule]) -> Iterable[tuple[str, str]]:
    host = whole(rule.spec.host, rule.ref.namespace)
    bucket = zone(host) if is_wildcard(host) else host
    return [(bucket, subset.name) for subset in rule.spec.subsets]


def _subset_uses(written: Resource[VirtualService]) -> Iterable[str]:
    """Yield the hosts that a VirtualService is for, and of which it names subsets."""
    own = {whole(host, written.ref.namespace) for host in written.spec.hosts}
    for http in written.spec.http:
        for one in http.route:
            if one.destination and one.destination.subset:
                host = whole(one.destination.host, written.ref.namespace)
                if host in own:
                    yield host


SUBSETS_BY_HOST = Index(DESTINATION_RULES, _subsets, "subsets by host, or by zone of a wildcard")
SUBSET_USES_BY_HOST = Index(VIRTUAL_SERVICES, _subset_uses, "virtual services by host of which they name subsets")


def sendings(spec: VirtualService) -> Iterator[Sending]:
    """Yield all destinations of a VirtualService, TCP and TLS first, mirrors last."""
    written: Mapping[str, Sequence[TCPRoute | TLSRoute | HTTPRoute]] = {
        "tcp": spec.tcp,
        "tls": spec.tls,
        "http": spec.http,
    }
    for protocol, rules in written.items():
        for index, rule in enumerate(rules):
            routes: Sequence[HTTPRouteDestination | RouteDestination] = rule.route
            for number, one in enumerate(routes):
                if one.destination:
                    yield Sending(f"spec.{protocol}[{index}].route[{number}].destination", one.destination)
    for index, http in enumerate(spec.http):
        if http.mirror:
            yield Sending(f"spec.http[{index}].mirror", http.mirror, mirrored=True)
        for number, mirror in enumerate(http.mirrors):
            if mirror.destination:
                yield Sending(f"spec.http[{index}].mirrors[{number}].destination", mirror.destination, mirrored=True)


@query
def destination_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each destination of which the host, the port or the subset is not there."""
    found = q.get(VIRTUAL_SERVICES, ref.namespace, ref.name)
    if found is None:
        return ()
    # Its destinations are looked up by those who see it.
    viewers = sorted(exports(found.spec.export_to or (".",), ref.namespace, ()))
    return tuple(doubt for one in sendings(found.spec) for doubt in _doubts(q, ref, one, viewers))


def _doubts(q: Asking, ref: Ref, sending: Sending, viewers: Sequence[str]) -> Iterator[Finding]:
    to = sending.to
    host = whole(to.host, ref.namespace)
    ports = _ports(q, host, viewers)
    if ports is None:
        hint = f"Name the host of a Service or ServiceEntry; a short name is of this namespace: {host}"
        yield missing(ref, f"{sending.field}.host", "mirror host" if sending.mirrored else "host", to.host, hint)
        return
    if to.port and to.port.number not in ports:
        hint = f"Its ports are {_listed(ports)}"
        yield missing(ref, f"{sending.field}.port", "host:port", f"{to.host}:{to.port.number}", hint)
    if not to.port and len(ports) > 1:
        yield _port_needed(ref, f"{sending.field}.port", to.host, ports)
    if to.subset and not _has_subset(q, host, to.subset):
        what = "mirror+subset in destinationrule" if sending.mirrored else "host+subset in destinationrule"
        hint = f"Add the subset to a DestinationRule for {host}"
        yield missing(ref, f"{sending.field}.subset", what, f"{to.host}+{to.subset}", hint)


def _ports(q: Asking, host: str, viewers: Sequence[str]) -> tuple[int, ...] | None:
    """Return the port numbers of what some namespace knows by a host, in their order; None if none knows anything."""
    for namespace in viewers:
        key = held_for(q, namespace, host)
        if key and (found := q(service, key)):
            return tuple(port.number for port in found.ports)
    default = q(export_default, Exporting.SERVICE)
    for behind in zones(host):
        for entry in q.by(ENTRIES_BY_ZONE, behind):
            seen_by = exports(entry.spec.export_to, entry.ref.namespace, default)
            seen = any(sees(namespace, seen_by) for namespace in viewers)
            if seen and any(is_wildcard(known) and within(host, known) for known in entry_hosts(entry)):
                return tuple(port.number for port in entry.spec.ports)
    return None


def _has_subset(q: Asking, host: str, subset: str) -> bool:
    if q.keys(SUBSETS_BY_HOST, (host, subset)):
        return True
    wide = (rule for behind in zones(host) for rule in q.by(SUBSETS_BY_HOST, (behind, subset)))
    return any(within(host, whole(rule.spec.host, rule.ref.namespace)) for rule in wide)


@query
def ingress_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each route through gateways beside which another one splits its host by subsets."""
    found = q.get(VIRTUAL_SERVICES, ref.namespace, ref.name)
    doubtful = []
    for index, http in enumerate(found.spec.http if found and found.spec.gateways else ()):
        for number, one in enumerate(http.route):
            if one.destination and not one.destination.subset:
                host = whole(one.destination.host, ref.namespace)
                field = f"spec.http[{index}].route[{number}].destination.host"
                others = cast("tuple[tuple[str, str], ...]", q.keys(SUBSET_USES_BY_HOST, host))
                doubtful += [_passed_by(ref, field, Ref(ref.kind, *other)) for other in others]
    return tuple(doubtful)


def _listed(ports: tuple[int, ...]) -> str:
    return ", ".join(map(str, ports)) or "none"


def _port_needed(ref: Ref, field: str, host: str, ports: tuple[int, ...]) -> Finding:
    return Finding(
        code="IST0112",
        severity=Severity.ERROR,
        message=f'This VirtualService routes to a service "{host}" that exposes multiple ports'
        f" [{' '.join(map(str, ports))}]. Specifying a port in the destination is required to disambiguate",
        ref=ref,
        field=field,
        hint=f"Set port.number to one of {_listed(ports)}",
    )


def _passed_by(ref: Ref, field: str, other: Ref) -> Finding:
    return Finding(
        code="IST0140",
        severity=Severity.WARNING,
        message=f"Subset in virtual service {other.namespace}/{other.name} has no effect on ingress gateway"
        f" {ref.namespace}/{ref.name} requests",
        ref=ref,
        field=field,
        hint="Name the subsets here too: a request through a gateway is routed once, by this VirtualService",
    )
