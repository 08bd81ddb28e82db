"""Which service or VirtualService has a domain when several want it. Envoy refuses a table with a domain in it twice.

The names that Kubernetes services have in a cluster differ by nature. So only what does not follow from such a name is
compared: hosts that somebody wrote, and addresses. What was written wins over what was derived, then the older one.
Source: istiod's ``dedupeDomains`` in ``pilot/pkg/networking/core/httproute.go``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pilotpy.compile.domains import address_domains
from pilotpy.compile.ports import on_port
from pilotpy.engine import Asking, query
from pilotpy.mesh.hosts import is_wildcard, kubernetes_name, service_host, within
from pilotpy.mesh.scopes import find, members, runs
from pilotpy.mesh.service import Resolution, ServiceKey
from pilotpy.mesh.services import service
from pilotpy.mesh.view import Part, Parts, Scope, Selected
from pilotpy.mesh.virtual_addresses import as_seen_in
from pilotpy.mesh.virtual_services import hosts
from pilotpy.model.resource import Finding, Ref, Severity

_HINT = "Give every host and every address to one service or VirtualService only"
_EVERYTHING = "*"  # the domain of the virtual host for unknown destinations


class Claim(NamedTuple):
    """A domain wanted by one owner. Sorts by precedence."""

    domain: str
    derived: bool  # an address, or a name made from one: nobody wrote it as a host
    age: tuple[float, str, str]  # the lower, the more important
    owner: Ref | ServiceKey


class Withheld(NamedTuple):
    """The domains that their owners must do without, sorted; almost always empty."""

    services: tuple[tuple[ServiceKey, str], ...] = ()
    loose: tuple[tuple[Ref, str], ...] = ()  # hosts of VirtualServices that are no service


@query
def withheld(q: Asking, scope: Scope, port: int) -> Withheld:
    """The domains on a port of a scope that more than one owner wants, with those who do not get them."""
    services = q(claims, scope.parts, port, scope.cluster)
    late = [*_loose_claims(q, scope, port)]
    late += [other for claim in (*services.written, *late) for other in _short_names(q, scope, port, claim)]
    if not late and not services.losers:
        return Withheld()
    rivals = {claim.domain: services.winners[claim.domain] for claim in late if claim.domain in services.winners}
    winners, losers = _settled((*late, *rivals.values()))
    losers += services.losers
    for claim in losers:
        q.note(_lost(claim, winners.get(claim.domain) or services.winners.get(claim.domain)))
    owned = sorted({(claim.owner, claim.domain) for claim in losers})
    return Withheld(
        tuple((owner, domain) for owner, domain in owned if isinstance(owner, ServiceKey)),
        tuple((owner, domain) for owner, domain in owned if isinstance(owner, Ref)),
    )


class Claims(NamedTuple):
    """What the services of a scope claim on a port."""

    winners: Mapping[str, Claim]  # by domain
    losers: tuple[Claim, ...]
    written: tuple[Claim, ...]  # those that are not derived


@query
def claims(q: Asking, parts: tuple[Part, ...], port: int, cluster: str) -> Claims:
    """The claims of services on domains that do not follow from a name in the cluster."""
    found = [claim for run in q(runs, parts) for claim in q(run_claims, run, port, cluster)]
    winners, losers = _settled(found)
    return Claims(winners, tuple(losers), tuple(claim for claim in found if not claim.derived))


@query
def run_claims(q: Asking, run: Parts, port: int, cluster: str) -> tuple[Claim, ...]:
    """The claims of the services of some parts."""
    return tuple(claim for part in run for claim in q(part_claims, part, port, cluster))


@query
def loose_hosts(q: Asking, scope: Scope, port: int) -> tuple[tuple[str, Ref], ...]:
    """The hosts of no service that have routes on a port, as (host, VirtualService), most important first.

    Traffic to them is seen on port 80, and where the VirtualService routes a service of that port too.
    """
    found: dict[tuple[str, Ref], None] = {}
    for ref in scope.loose:
        written = [(host, _known(q, scope, host)) for host in q(hosts, ref)]
        known = [selected for _, selected in written if isinstance(selected, Selected)]
        if port == 80 or any(_serves(q, selected, port) for selected in known):
            found.update(((host, ref), None) for host, selected in written if selected is None)
    return tuple(found)


@query
def part_claims(q: Asking, part: Part, port: int, cluster: str) -> tuple[Claim, ...]:
    """The domains of a part's services that do not follow from a name in the cluster; unsorted."""
    found_claims: list[Claim] = []
    for selected in q(on_port, part, port):
        found = q(service, selected.service)
        if found is None:
            continue
        if kubernetes_name(found.key.host) is None:
            found_claims.append(Claim(found.key.host, False, found.age, found.key))
        found_claims += [
            Claim(domain, True, found.age, found.key) for domain in address_domains(as_seen_in(q, found, cluster))
        ]
    return tuple(found_claims)


@query
def _any_within(q: Asking, part: Part, pattern: str) -> bool:
    return any(within(selected.service.host, pattern) for selected in q(members, part))


def _known(q: Asking, scope: Scope, host: str) -> Selected | bool | None:
    """The service of a host; True for a wildcard that some service matches; None if there is none."""
    if is_wildcard(host):
        return any(q(_any_within, part, host) for part in scope.parts) or None
    return find(q, scope, host)


def _serves(q: Asking, selected: Selected, port: int) -> bool:
    found = q(service, selected.service)
    return (
        found is not None
        and found.resolution is not Resolution.ALIAS
        and (not selected.ports or port in selected.ports)
        and any(one.number == port and one.protocol.may_be_http for one in found.ports)
    )


def _loose_claims(q: Asking, scope: Scope, port: int) -> Iterator[Claim]:
    for place, (host, ref) in enumerate(q(loose_hosts, scope, port)):
        yield Claim(host, False, (float(place), "", ""), ref)


def _short_names(q: Asking, scope: Scope, port: int, claim: Claim) -> Iterator[Claim]:
    """The claim of a service whose short name happens to be what somebody wrote as a host."""
    labels = claim.domain.removeprefix("*.").removesuffix(".").removesuffix(".svc").split(".")
    if len(labels) > 2:
        return
    host = service_host(labels[1] if len(labels) == 2 else scope.namespace, labels[0])
    selected = find(q, scope, host)
    if selected is not None and _serves(q, selected, port):
        found = q(service, selected.service)
        assert found is not None, "it serves"
        yield Claim(claim.domain, True, found.age, found.key)


def _settled(claims: Iterable[Claim]) -> tuple[dict[str, Claim], list[Claim]]:
    """Who gets each domain, and who does not."""
    winners: dict[str, Claim] = {}
    losers: list[Claim] = []
    for claim in sorted(claims, key=_precedence):
        if claim.domain == _EVERYTHING or winners.setdefault(claim.domain, claim).owner != claim.owner:
            losers.append(claim)  # noqa: PERF401 - the condition has an effect
    return winners, losers


def _precedence(claim: Claim) -> tuple[str, bool, tuple[float, str, str], tuple[str, ...]]:
    return (claim.domain, claim.derived, claim.age, tuple(claim.owner))


def _lost(claim: Claim, winner: Claim | None) -> Finding:
    ref = claim.owner if isinstance(claim.owner, Ref) else None
    whose = str(ref) if ref else f"service {claim.owner.host} of namespace {claim.owner.namespace}"  # type: ignore[union-attr]  # the other of two
    if winner is None or claim.domain == _EVERYTHING:
        why = "is taken by the routes to unknown destinations"
    else:
        other = winner.owner
        why = f"belongs to {other if isinstance(other, Ref) else other.host} already"
    message = f"The domain {claim.domain} of {whose} {why}; its requests are routed there"
    return Finding(code="PP0427", severity=Severity.WARNING, message=message, ref=ref, hint=_HINT)
