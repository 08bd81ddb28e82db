"""Which DestinationRules hold for a service: for everybody, and for the clients of one namespace.

From the rules' hosts, ``exportTo`` and selectors to refs; what the rules say is not read here.
Follows ``destinationRule`` of Istio's push context and the merge in ``destination_rule.go``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, cast

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.config import export_default, root_namespace
from pilotpy.mesh.exports import Exporting, Exports, exports, reaches, sees
from pilotpy.mesh.hosts import is_wildcard, specificity, whole, within, zone
from pilotpy.mesh.kinds import DESTINATION_RULES
from pilotpy.mesh.service import ServiceKey
from pilotpy.mesh.services import restricted
from pilotpy.model.destination_rule import DestinationRule
from pilotpy.model.resource import Ref, Resource

Pairs = tuple[tuple[str, str], ...]


class Claim(NamedTuple):
    """What a rule applies to."""

    ref: Ref
    host: str  # whole; may be a wildcard
    seen_by: Exports
    selector: Pairs | None  # None: for all workloads
    age: tuple[float, str, str]

    @property
    def private(self) -> bool:
        """Seen in its own namespace only."""
        return self.seen_by == {self.ref.namespace}


def _host(rule: Resource[DestinationRule]) -> str:
    return whole(rule.spec.host, rule.ref.namespace)


def _by_host(rule: Resource[DestinationRule]) -> Iterable[str]:
    return (_host(rule),)


def _by_zone(rule: Resource[DestinationRule]) -> Iterable[tuple[str, str]]:
    host = _host(rule)
    return ((rule.ref.namespace, zone(host)),) if is_wildcard(host) else ()


def _by_wildcard(rule: Resource[DestinationRule]) -> Iterable[str]:
    return (rule.ref.namespace,) if is_wildcard(rule.spec.host) else ()


def _by_namespace(rule: Resource[DestinationRule]) -> Iterable[str]:
    return (rule.ref.namespace,)


def _by_selecting(rule: Resource[DestinationRule]) -> Iterable[str]:
    return (rule.ref.namespace,) if rule.spec.workload_selector else ()


def _by_reach(rule: Resource[DestinationRule]) -> Iterable[tuple[str, str]]:
    return reaches(rule.spec.export_to, rule.ref.namespace)


RULES_BY_HOST = Index(DESTINATION_RULES, _by_host, "rules by host")
RULES_BY_ZONE = Index(DESTINATION_RULES, _by_zone, "wildcard rules by namespace and zone")
RULES_BY_WILDCARD = Index(DESTINATION_RULES, _by_wildcard, "wildcard rules by namespace")
RULES_BY_NAMESPACE = Index(DESTINATION_RULES, _by_namespace, "rules by namespace")
RULES_BY_SELECTING = Index(DESTINATION_RULES, _by_selecting, "rules with selectors by namespace")
RULES_BY_REACH = Index(DESTINATION_RULES, _by_reach, "rules by reach")


@query
def rule_claim(q: Asking, namespace: str, name: str) -> Claim | None:
    """Return what a rule applies to, or None if there is no such rule."""
    rule = q.get(DESTINATION_RULES, namespace, name)
    if rule is None:
        return None
    selector = rule.spec.workload_selector
    return Claim(
        rule.ref,
        _host(rule),
        exports(rule.spec.export_to, namespace, q(export_default, Exporting.DESTINATION_RULE)),
        tuple(sorted(selector.match_labels.items())) if selector else None,
        rule.age_order,
    )


def rules_for_all(q: Asking, key: ServiceKey) -> tuple[Ref, ...]:
    """Return the rules that hold for a service unless the client's namespace has its own, oldest first."""
    for owner in dict.fromkeys((key.namespace, q(root_namespace))):
        found = [claim for claim in _exported(q, owner, key.host) if "*" in claim.seen_by]
        if found:
            return _consolidated(found, ())
    return ()


def rules_for(q: Asking, namespace: str, key: ServiceKey, selecting: tuple[Ref, ...]) -> tuple[Ref, ...]:
    """Return the rules that hold for a service and the clients of one namespace, oldest first.

    ``selecting`` are the rules whose workload selectors pick the client. Not for use in leaves.
    """
    root = q(root_namespace)
    local = _most_specific(
        q,
        namespace,
        key.host,
        lambda claim: claim.private if namespace == root else sees(namespace, claim.seen_by),
    )
    if local:
        return _consolidated(local, selecting)
    for owner in dict.fromkeys((key.namespace, root)):
        found = [claim for claim in _exported(q, owner, key.host) if sees(namespace, claim.seen_by)]
        if found:
            return _consolidated(found, selecting if owner == namespace else ())
    return ()


@query
def ruled_hosts(q: Asking, namespace: str) -> tuple[str, ...]:
    """Return the hosts and wildcards for which a namespace's clients may have rules of their own, sorted."""
    keys = [(cast("str", key[0]), cast("str", key[1])) for key in q.keys(RULES_BY_NAMESPACE, namespace)]
    keys += restricted(q, RULES_BY_REACH, namespace, q(export_default, Exporting.DESTINATION_RULE))
    claims = [q(rule_claim, *key) for key in keys]
    return tuple(sorted({claim.host for claim in claims if claim}))


@query
def rule_selectors(q: Asking, namespace: str) -> tuple[tuple[Ref, Pairs], ...]:
    """Return the rules of a namespace that apply to some workloads only, with their selectors; oldest first."""
    claims = [q(rule_claim, *_name(key)) for key in q.keys(RULES_BY_SELECTING, namespace)]
    found = sorted((claim for claim in claims if claim), key=lambda claim: claim.age)
    return tuple((claim.ref, claim.selector) for claim in found if claim.selector is not None)


@query
def _has_wildcards(q: Asking, namespace: str) -> bool:
    # Few namespaces do: one answer for all of a host's zones, instead of one for each.
    return bool(q.keys(RULES_BY_WILDCARD, namespace))


@query
def _wildcards(q: Asking, namespace: str, behind: str) -> tuple[str, ...]:
    """Return the wildcards that rules of a namespace have for hosts in a zone, most specific first."""
    outer = q(_wildcards, namespace, zone(behind)) if behind else ()
    claims = [q(rule_claim, *_name(key)) for key in q.keys(RULES_BY_ZONE, (namespace, behind))]
    return tuple(sorted({claim.host for claim in claims if claim}.union(outer), key=specificity))


def _exported(q: Asking, owner: str, host: str) -> list[Claim]:
    """Return the most specific rules for a host among those that ``owner`` does not keep to itself."""
    return _most_specific(q, owner, host, lambda claim: not claim.private)


def _most_specific(q: Asking, owner: str, host: str, counts: Callable[[Claim], bool]) -> list[Claim]:
    wildcards = q(_wildcards, owner, zone(host)) if q(_has_wildcards, owner) else ()
    patterns = [host, *(pattern for pattern in wildcards if within(host, pattern))]
    for pattern in dict.fromkeys(patterns):
        # Not by namespace too: one cell serves a host's own namespace and the root namespace, at every service.
        claims = [q(rule_claim, *_name(key)) for key in q.keys(RULES_BY_HOST, pattern) if key[0] == owner]
        found = [claim for claim in claims if claim and counts(claim)]
        if found:
            return sorted(found, key=lambda claim: claim.age)
    return []


def _consolidated(claims: list[Claim], selecting: tuple[Ref, ...]) -> tuple[Ref, ...]:
    """Return which of the rules for one host are read as one: those for the same workloads and namespaces."""
    plain = [claim for claim in claims if claim.selector is None]
    picked = next((claim for claim in claims if claim.ref in selecting), None)
    if picked is not None:
        same = [claim for claim in claims if claim.selector == picked.selector and claim.seen_by == picked.seen_by]
        return tuple(claim.ref for claim in same + [c for c in plain if c.seen_by >= picked.seen_by])
    groups: list[list[Claim]] = []
    for claim in plain:
        for group in groups:
            if claim.seen_by >= group[0].seen_by:
                group.append(claim)
        if not any(claim.seen_by == group[0].seen_by for group in groups):
            groups.append([claim])
    return tuple(claim.ref for claim in groups[-1]) if groups else ()


def _name(key: tuple[object, ...]) -> tuple[str, str]:
    return cast("tuple[str, str]", key)
