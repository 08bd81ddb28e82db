"""From one AuthorizationPolicy to its rules as Envoy reads them, shared by all workloads that it is for.

Source: istio/istio pilot/pkg/security/authz/builder/builder.go and pilot/pkg/security/trustdomain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pilotpy.compile.features.authorization import Rules
from pilotpy.compile.features.rbac_rules import Reading, Wire, never, read
from pilotpy.compile.features.rbac_terms import Term, peers
from pilotpy.compile.wire import serialised
from pilotpy.engine import Asking, query
from pilotpy.mesh.identities import trust_domain_aliases, trust_domains
from pilotpy.mesh.kinds import AUTHORIZATION_POLICIES
from pilotpy.mesh.services import trust_domain
from pilotpy.mesh.trust_aliases import domains_in, principals_in, strange_domain
from pilotpy.model.authorization_policy import Action, AuthorizationPolicy, Rule
from pilotpy.model.resource import Finding, Ref, Resource, Severity

UNUSABLE: Final = "PP0401"  # a term that no matcher can be made of
STRANGE_DOMAIN: Final = "PP0402"  # a principal of a trust domain that nobody here has


@query
def policy_rules(q: Asking, ref: Ref, wire: Wire) -> Rules:
    """The rules of one AuthorizationPolicy by their names in statistics; rules that cannot be used are left out."""
    policy = authorization_policy(q, ref)
    if policy is None:
        return ()
    rules, action = policy.spec.rules, policy.spec.action
    if not rules:
        return ((_name(ref, 0), serialised(never())),)
    domains = (q(trust_domain), *q(trust_domain_aliases))
    reading = Reading(wire, allows=action == "ALLOW")
    compiled = []
    for i, rule in enumerate(rules):
        for field, domain in _strangers(rule, q(trust_domains)):
            q.note(_strange(ref, f"spec.rules[{i}].{field}", domain, domains[0]))
        made, flaws = read(rule, reading, lambda term: _meant(term, ref.namespace, domains))
        for flaw in flaws:
            if not flaw.http:
                q.note(_unusable(ref, f"spec.rules[{i}].{flaw.field}", flaw.message, action))
        if made is not None:
            compiled.append((_name(ref, i), serialised(made)))
    return tuple(compiled)


def authorization_policy(q: Asking, ref: Ref) -> Resource[AuthorizationPolicy] | None:
    """The AuthorizationPolicy of a name; None if there is none, or it names something else."""
    return q.get(AUTHORIZATION_POLICIES, ref.namespace, ref.name) if ref.kind == "AuthorizationPolicy" else None


def _strangers(rule: Rule, known: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Where principals are of trust domains that are not known, and which those are."""
    for term in (term for terms in peers(rule) for term in terms if term.attribute == "source.principal"):
        domains = {strange_domain(known, value) for value in (*term.values, *term.not_values)}
        yield from ((term.field, domain) for domain in sorted(domains) if domain)


def _meant(term: Term, namespace: str, domains: tuple[str, ...]) -> Term:
    """A term with service accounts made whole, and identities under every name that the mesh goes by."""
    if term.attribute == "source.serviceAccount":
        return term._replace(values=_whole(term.values, namespace), not_values=_whole(term.not_values, namespace))
    expand = {"source.principal": principals_in, "source.trustDomain": domains_in}.get(term.attribute)
    if expand is None:
        return term
    return term._replace(values=expand(domains, term.values), not_values=expand(domains, term.not_values))


def _whole(accounts: Sequence[str], namespace: str) -> tuple[str, ...]:
    return tuple(account if "/" in account else f"{namespace}/{account}" for account in accounts)


def _name(ref: Ref, rule: int) -> str:
    return f"ns[{ref.namespace}]-policy[{ref.name}]-rule[{rule}]"


def _unusable(ref: Ref, field: str, message: str, action: Action) -> Finding:
    effect = (
        "its rule allows nothing" if action == "ALLOW" else "its rule applies to more, as if the term were not there"
    )
    return Finding(
        code=UNUSABLE,
        severity=Severity.ERROR,
        message=f"{message}: {effect}",
        ref=ref,
        field=field,
        hint="Mend the value, or take it away",
    )


def _strange(ref: Ref, field: str, domain: str, own: str) -> Finding:
    return Finding(
        code=STRANGE_DOMAIN,
        severity=Severity.WARNING,
        message=f"No client has an identity in trust domain {domain}: the mesh is {own}",
        ref=ref,
        field=field,
        hint=f"Write {own}/ns/..., or add {domain} to trustDomainAliases of MeshConfig",
    )
