"""Which VirtualServices hold for a host: for everybody, and for the clients of one namespace.

From the hosts, gateways and ``exportTo`` of VirtualServices to refs; their routes are not read
here. Only those for the gateway ``mesh`` count, and only those with hosts: the others are for
gateways, or delegates. Follows Istio's push context (``initVirtualServices``) and ``sidecar.go``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, cast

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.config import export_default
from pilotpy.mesh.exports import Exporting, Exports, Reach, exports, reaches, sees
from pilotpy.mesh.hosts import is_wildcard, overlaps, service_host, specificity, whole, within, zone
from pilotpy.mesh.kinds import VIRTUAL_SERVICES
from pilotpy.mesh.service_entries import ENTRIES_BY_ZONE, hosts_of
from pilotpy.mesh.services import holder, public_services, restricted, service_namespaces
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.model.virtual_service import VirtualService


class Claim(NamedTuple):
    """What a VirtualService applies to."""

    ref: Ref
    hosts: tuple[str, ...]  # whole, as written; may hold wildcards
    seen_by: Exports
    age: tuple[float, str, str]

    def rank(self, namespace: str) -> int | None:
        """Return how near it is to clients of a namespace (0: their own alone), None if they do not see it."""
        if not sees(namespace, self.seen_by):
            return None
        return 2 if "*" in self.seen_by else int(self.ref.namespace != namespace)


def _hosts(written: Resource[VirtualService]) -> tuple[str, ...]:
    if written.spec.gateways and "mesh" not in written.spec.gateways:
        return ()
    return tuple(dict.fromkeys(whole(host, written.ref.namespace) for host in written.spec.hosts if host))


def _by_zone(written: Resource[VirtualService]) -> Iterable[str]:
    return {zone(host) for host in _hosts(written) if is_wildcard(host)}


def _by_reach(written: Resource[VirtualService]) -> Iterable[tuple[str, str]]:
    return reaches(written.spec.export_to, written.ref.namespace) if _hosts(written) else ()


def _by_namespace(written: Resource[VirtualService]) -> Iterable[str]:
    return (written.ref.namespace,) if _hosts(written) else ()


def _by_source_label(written: Resource[VirtualService]) -> Iterable[tuple[str, str]]:
    spec = written.spec
    asked = [match.source_labels for http in spec.http for match in http.match]
    asked += [match.source_labels for tls in spec.tls for match in tls.match]
    asked += [match.source_labels for tcp in spec.tcp for match in tcp.match]
    return {label for labels in asked for label in labels.items()}


ROUTES_BY_HOST = Index(VIRTUAL_SERVICES, _hosts, "virtual services by host")
ROUTES_BY_ZONE = Index(VIRTUAL_SERVICES, _by_zone, "virtual services by zone of their wildcards")
ROUTES_BY_REACH = Index(VIRTUAL_SERVICES, _by_reach, "virtual services by reach")
ROUTES_BY_NAMESPACE = Index(VIRTUAL_SERVICES, _by_namespace, "virtual services by namespace")
ROUTES_BY_SOURCE_LABEL = Index(VIRTUAL_SERVICES, _by_source_label, "virtual services by source label")


@query
def route_claim(q: Asking, namespace: str, name: str) -> Claim | None:
    """Return what a VirtualService applies to, or None if there is none of that name."""
    found = q.get(VIRTUAL_SERVICES, namespace, name)
    if found is None:
        return None
    default = q(export_default, Exporting.VIRTUAL_SERVICE)
    return Claim(found.ref, _hosts(found), exports(found.spec.export_to, namespace, default), found.age_order)


def routes_for_all(q: Asking, host: str) -> tuple[Ref, ...]:
    """Return the VirtualServices that hold for a host unless a client's namespace has its own.

    All of the host itself, oldest first; else the oldest of the most specific wildcard.
    """
    found = _chosen(q, host, lambda claim: 2 if "*" in claim.seen_by else None)
    if len(found) > 1:
        q.note(_conflict(found, host))
    return tuple(claim.ref for claim in found)


def routes_for(
    q: Asking, namespace: str, host: str, counts: Callable[[Claim], bool] = lambda _: True
) -> tuple[Ref, ...]:
    """Return the VirtualServices that hold for a host and the clients of one namespace, if they count.

    As ``routes_for_all``, but those seen by fewer namespaces first. Not for use in leaves.
    """
    return tuple(
        claim.ref for claim in _chosen(q, host, lambda claim: claim.rank(namespace) if counts(claim) else None)
    )


def routes_seen(q: Asking, namespace: str, owner: str, host: str) -> list[Claim]:
    """Return what clients of ``namespace`` see of ``owner``'s VirtualServices ("*": anybody's), oldest first.

    Only those with a host that overlaps ``host``, which may be a wildcard. Reads whole namespaces unless ``host`` is
    exact and ``owner`` is "*". Not for use in leaves.
    """
    if owner == "*" and not is_wildcard(host):
        patterns = [host, *(pattern for pattern in q(_wildcards, zone(host)) if within(host, pattern))]
        keys = [key for pattern in patterns for key in q.keys(ROUTES_BY_HOST, pattern)]
    else:
        owners = q.buckets(ROUTES_BY_NAMESPACE) if owner == "*" else (owner,)
        keys = [key for one in owners for key in q.keys(ROUTES_BY_NAMESPACE, one)]
    claims = [q(route_claim, *_name(key)) for key in dict.fromkeys(keys)]
    seen = [claim for claim in claims if claim and claim.rank(namespace) is not None]
    found = [claim for claim in seen if any(overlaps(other, host) for other in claim.hosts)]
    return sorted(found, key=lambda claim: claim.age)


@query
def routed_hosts(q: Asking, namespace: str) -> tuple[str, ...]:
    """Return the hosts and wildcards for which a namespace sees VirtualServices that not all see, sorted."""
    claims = [q(route_claim, *key) for key in _restricted(q, namespace)]
    return tuple(sorted({host for claim in claims if claim for host in claim.hosts}))


@query
def loose_routes(q: Asking, namespace: str) -> tuple[Ref, ...]:
    """Return the VirtualServices that clients of a namespace see with a host that no public service has.

    Most important first. A host may still be that of a service that only this namespace sees.
    """
    own = [q(route_claim, *key) for key in _restricted(q, namespace) if q(is_loose, *key)]
    ranked = sorted((claim.rank(namespace) or 0, claim.age, claim.ref) for claim in own if claim)
    return (*(ref for _, _, ref in ranked), *q(_loose_for_all))


@query
def is_loose(q: Asking, namespace: str, name: str) -> bool:
    """Tell whether a VirtualService has a host that no public service has."""
    claim = q(route_claim, namespace, name)
    return claim is not None and any(not _known(q, host) for host in claim.hosts)


@query
def _loose_for_all(q: Asking) -> tuple[Ref, ...]:
    claims = [claim for owner in q(_route_namespaces) for claim in q(_public_loose, owner)]
    return tuple(claim.ref for claim in sorted(claims, key=lambda claim: claim.age))


@query
def _public_loose(q: Asking, owner: str) -> tuple[Claim, ...]:
    keys = q.keys(ROUTES_BY_REACH, (Reach.PUBLIC.value, owner))
    if "*" in q(export_default, Exporting.VIRTUAL_SERVICE):
        keys += q.keys(ROUTES_BY_REACH, (Reach.UNSAID.value, owner))
    claims = [q(route_claim, *_name(key)) for key in keys if q(is_loose, *_name(key))]
    return tuple(claim for claim in claims if claim)


@query
def _route_namespaces(q: Asking) -> tuple[str, ...]:
    buckets = cast("tuple[tuple[str, str], ...]", q.buckets(ROUTES_BY_REACH))
    return tuple(sorted({owner for reach, owner in buckets if reach != Reach.NAMED.value}))


@query
def _wildcards(q: Asking, behind: str) -> tuple[str, ...]:
    """Return the wildcards that VirtualServices have for hosts in a zone, most specific first."""
    outer = q(_wildcards, zone(behind)) if behind else ()
    claims = [q(route_claim, *_name(key)) for key in q.keys(ROUTES_BY_ZONE, behind)]
    here = {h for claim in claims if claim for h in claim.hosts if is_wildcard(h) and zone(h) == behind}
    return tuple(sorted(here.union(outer), key=specificity))


def _restricted(q: Asking, namespace: str) -> list[tuple[str, str]]:
    return restricted(q, ROUTES_BY_REACH, namespace, q(export_default, Exporting.VIRTUAL_SERVICE))


def _chosen(q: Asking, host: str, rank: Callable[[Claim], int | None]) -> list[Claim]:
    patterns = [host, *(pattern for pattern in q(_wildcards, zone(host)) if within(host, pattern))]
    for pattern in dict.fromkeys(patterns):
        claims = [q(route_claim, *_name(key)) for key in q.keys(ROUTES_BY_HOST, pattern)]
        ranked = [(place, claim.age, claim) for claim in claims if claim and (place := rank(claim)) is not None]
        if ranked:
            found = [claim for _, _, claim in sorted(ranked)]
            return found if pattern == host else found[:1]
    return []


def _known(q: Asking, host: str) -> bool:
    """Tell whether some service has a host, or one that a wildcard stands for."""
    if not is_wildcard(host):
        return q(holder, host) is not None
    behind = zone(host)
    for owner in q(service_namespaces):
        if not behind or service_host(owner, "").endswith(f".{behind}"):
            if host in {"*", f"*.{behind}"}:
                return True
            if any(within(key.host, host) for key in q(public_services, owner)):
                return True
    keys = q.keys(ENTRIES_BY_ZONE, behind)
    return any(within(known, host) for key in keys for known in q(hosts_of, *_name(key)))


def _conflict(found: list[Claim], host: str) -> Finding:
    names = ",".join(f"{claim.ref.namespace}/{claim.ref.name}" for claim in found)
    return Finding(
        code="IST0109",
        severity=Severity.ERROR,
        message=f"The VirtualServices {names} associated with mesh gateway define the same host {host}"
        " which can lead to undefined behavior. This can be fixed by merging the conflicting VirtualServices"
        " into a single resource",
        ref=found[1].ref,
        field="spec.hosts",
        hint=f"Only {names.partition(',')[0]} is used, the oldest",
    )


def _name(key: tuple[object, ...]) -> tuple[str, str]:
    return cast("tuple[str, str]", key)
