"""From the policies of a workload to the filters that stand before it: who is asked, who is believed, who may pass.

Replicas, and all workloads with the same policies, share one guard. Whatever fails in it shuts: then its stand-in
lets nothing pass. Source: istio/istio pilot/pkg/security/authz/builder and pilot/pkg/security/authn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pilotpy.compile.authorizers import Unfit, authorizer
from pilotpy.compile.features.authorization import Enforcement, Rules, denying, rbac_filter, refusing_all
from pilotpy.compile.features.ext_authz import BAD, MARK, asking
from pilotpy.compile.features.jwt_authn import Verified, jwt_filter
from pilotpy.compile.features.rbac_rules import Reading, Wire, http_only, never, read
from pilotpy.compile.features.rbac_terms import Term, peers
from pilotpy.compile.wire import serialised
from pilotpy.engine import Asking, query
from pilotpy.mesh.identities import trust_domain_aliases, trust_domains
from pilotpy.mesh.kinds import AUTHORIZATION_POLICIES, REQUEST_AUTHENTICATIONS
from pilotpy.mesh.request_authentication import NO_KEYS, key_set, key_source
from pilotpy.mesh.services import trust_domain
from pilotpy.mesh.trust_aliases import domains_in, principals_in, strange_domain
from pilotpy.model.authorization_policy import Action, AuthorizationPolicy
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.schema.validation.metadata import DRY_RUN, TRUE

UNUSABLE: Final = "PP0401"  # a term that no matcher can be made of
NOBODY_TO_ASK: Final = "PP0402"  # a CUSTOM policy whose provider cannot be asked
NO_KEYS_YET: Final = "PP0403"  # keys of an issuer are not at hand
STRANGE_DOMAIN: Final = "PP0405"  # a principal of a trust domain that nobody here has
HTTP_ONLY: Final = "PP0404"  # a term about HTTP, on a port that is not HTTP

_AFTER_TOKENS: Final[tuple[Action, ...]] = ("AUDIT", "DENY", "ALLOW")  # the order of their filters


class Stages(NamedTuple):
    """The filters of one kind of connection, in wire format, in the order in which requests meet them."""

    custom: tuple[bytes, ...] = ()  # ask somebody else
    tokens: tuple[bytes, ...] = ()  # at most one: verifies tokens
    rules: tuple[bytes, ...] = ()  # at most one per action


class Guard(NamedTuple):
    """What stands before a workload."""

    http: Stages = Stages()
    tcp: Stages = Stages()


OPEN: Final = Guard()


def _shut(policies: tuple[Ref, ...]) -> Guard:  # noqa: ARG001 - takes what `guard` takes
    return Guard(Stages(rules=(refusing_all(Wire.HTTP),)), Stages(rules=(refusing_all(Wire.TCP),)))


@query(otherwise=_shut)
def guard(q: Asking, policies: tuple[Ref, ...]) -> Guard:
    """The filters that policies make, AuthorizationPolicies and RequestAuthentications."""
    found = [policy for ref in policies if (policy := _authorization(q, ref)) is not None]
    tokens = _token_filter(q, policies)
    http, tcp = (
        Stages(_custom(q, found, wire), tokens if wire is Wire.HTTP else (), _rules(q, found, wire)) for wire in Wire
    )
    return Guard(http, tcp)


@query
def policy_rules(q: Asking, ref: Ref, wire: Wire) -> Rules:
    """The rules of one AuthorizationPolicy by their names in statistics; rules that cannot be used are left out."""
    policy = _authorization(q, ref)
    if policy is None:
        return ()
    rules, action = policy.spec.rules, policy.spec.action
    if not rules:
        return ((_name(ref, 0), serialised(never())),)
    domains = (q(trust_domain), *q(trust_domain_aliases))
    reading = Reading(wire, allows=action == "ALLOW")
    compiled = []
    for i, rule in enumerate(rules):
        for term in (term for terms in peers(rule) for term in terms if term.attribute == "source.principal"):
            for strange in sorted({strange_domain(q(trust_domains), one) for one in (*term.values, *term.not_values)}):
                if strange:
                    q.note(_strange(ref, f"spec.rules[{i}].{term.field}", strange, domains))
        made, flaws = read(rule, reading, lambda term: _meant(term, ref.namespace, domains))
        for flaw in flaws:
            if not flaw.http:
                q.note(_unusable(ref, f"spec.rules[{i}].{flaw.field}", flaw.message, action))
        if made is not None:
            compiled.append((_name(ref, i), serialised(made)))
    return tuple(compiled)


@query
def told_of_opaque_port(q: Asking, ref: Ref, port: int) -> None:
    """Leave a note for each term of a policy that is about HTTP, for a port of the workload that is not HTTP."""
    policy = _authorization(q, ref)
    if policy is None:
        return
    for i, rule in enumerate(policy.spec.rules):
        for field in http_only(rule):
            q.note(_http_only(ref, f"spec.rules[{i}].{field}", port, policy.spec.action))
    if policy.spec.action == "CUSTOM" and policy.spec.provider:
        asked = q(authorizer, policy.spec.provider.name)
        if not isinstance(asked, Unfit) and not asked.speaks_tcp:
            q.note(_unasked(ref, port, asked.name))


def _authorization(q: Asking, ref: Ref) -> Resource[AuthorizationPolicy] | None:
    return q.get(AUTHORIZATION_POLICIES, ref.namespace, ref.name) if ref.kind == "AuthorizationPolicy" else None


def _rules(q: Asking, policies: Sequence[Resource[AuthorizationPolicy]], wire: Wire) -> tuple[bytes, ...]:
    filters = []
    for action in _AFTER_TOKENS:
        chosen = [policy for policy in policies if policy.spec.action == action]
        if chosen:
            enforced = [policy for policy in chosen if not _on_trial(policy)]
            tried = [policy for policy in chosen if _on_trial(policy)]
            found = Enforcement(action, _joined(q, enforced, wire), _joined(q, tried, wire))
            filters.append(rbac_filter(found, wire))
    return tuple(filters)


def _joined(q: Asking, policies: Sequence[Resource[AuthorizationPolicy]], wire: Wire) -> Rules | None:
    if not policies:
        return None
    return tuple(rule for policy in policies for rule in q(policy_rules, policy.ref, wire))


def _custom(q: Asking, policies: Sequence[Resource[AuthorizationPolicy]], wire: Wire) -> tuple[bytes, ...]:
    by_provider: defaultdict[str, list[Resource[AuthorizationPolicy]]] = defaultdict(list)
    for policy in policies:
        if policy.spec.action == "CUSTOM":
            by_provider[policy.spec.provider.name if policy.spec.provider else ""].append(policy)
    filters: list[bytes] = []
    for name in sorted(by_provider):
        asked = q(authorizer, name)
        if len(by_provider) > 1:
            others = ", ".join(sorted(by_provider))
            asked = Unfit(f"A workload can ask one provider only, and here are several: {others}", "Choose one of them")
        marked = tuple(
            (f"{MARK}{name}-{rule}", made)
            for policy in by_provider[name]
            for rule, made in q(policy_rules, policy.ref, wire)
        )
        if isinstance(asked, Unfit):
            for policy in by_provider[name]:
                q.note(_nobody_to_ask(policy.ref, asked))
            filters.append(denying(tuple((rule + BAD, made) for rule, made in marked), wire))
        else:
            filters += asking(asked, marked, wire)
    return tuple(filters)


def _token_filter(q: Asking, policies: Sequence[Ref]) -> tuple[bytes, ...]:
    rules = [one for ref in policies if ref.kind == "RequestAuthentication" for one in _verified(q, ref)]
    return (jwt_filter(rules),) if rules else ()


def _verified(q: Asking, ref: Ref) -> Iterator[Verified]:
    policy = q.get(REQUEST_AUTHENTICATIONS, ref.namespace, ref.name)
    for i, rule in enumerate(policy.spec.jwt_rules if policy else ()):
        source = key_source(rule)
        if source is None:
            yield Verified(rule, rule.jwks or NO_KEYS)
            continue
        keys = q(key_set, source)
        if keys.failure or not keys.text:
            field = f"spec.jwtRules[{i}]" + (".jwksUri" if source.uri else ".issuer")
            q.note(_no_keys(ref, field, str(source), keys.failure, stale=bool(keys.text)))
        yield Verified(rule, keys.text or NO_KEYS)


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


def _on_trial(policy: Resource[AuthorizationPolicy]) -> bool:
    return policy.meta.annotations.get(DRY_RUN) in TRUE


def _name(ref: Ref, rule: int) -> str:
    return f"ns[{ref.namespace}]-policy[{ref.name}]-rule[{rule}]"


def _unusable(ref: Ref, field: str, message: str, action: Action) -> Finding:
    effect = "its rule allows nothing" if action == "ALLOW" else "its rule applies as if it were not there"
    return Finding(
        code=UNUSABLE,
        severity=Severity.ERROR,
        message=f"{message}: {effect}",
        ref=ref,
        field=field,
        hint="Mend the value, or take it away",
    )


def _strange(ref: Ref, field: str, domain: str, domains: Sequence[str]) -> Finding:
    return Finding(
        code=STRANGE_DOMAIN,
        severity=Severity.WARNING,
        message=f"No client has an identity in trust domain {domain}: the mesh is {domains[0]}",
        ref=ref,
        field=field,
        hint=f"Write {domains[0]}/ns/..., or add {domain} to trustDomainAliases of MeshConfig",
    )


def _http_only(ref: Ref, field: str, port: int, action: Action) -> Finding:
    effect = {
        "ALLOW": "the rule allows nothing there",
        "DENY": "without it the rule denies more there, all connections if nothing else is left",
        "AUDIT": "without it the rule applies to more there",
        "CUSTOM": "without it more is asked about there",
    }[action]
    return Finding(
        code=HTTP_ONLY,
        severity=Severity.WARNING,
        message=f"Port {port} is not HTTP, and this is known of HTTP only: {effect}",
        ref=ref,
        field=field,
        hint="Say with operation.ports which ports the rule is for, in a rule of its own for each kind of port; "
        "or name the Service's port http, if that is what it speaks",
    )


def _unasked(ref: Ref, port: int, provider: str) -> Finding:
    return Finding(
        code=HTTP_ONLY,
        severity=Severity.ERROR,
        message=f"Nobody is asked about connections to port {port}, which is not HTTP: {provider} is asked over HTTP",
        ref=ref,
        field="spec.provider.name",
        hint="Use a provider with envoyExtAuthzGrpc, which can be asked about connections, "
        "or deny the port to others with a policy of its own",
    )


def _nobody_to_ask(ref: Ref, unfit: Unfit) -> Finding:
    return Finding(
        code=NOBODY_TO_ASK,
        severity=Severity.ERROR,
        message=f"{unfit.reason}: all that the policy applies to is denied",
        ref=ref,
        field="spec.provider.name",
        hint=unfit.hint,
    )


def _no_keys(ref: Ref, field: str, source: str, failure: str, *, stale: bool) -> Finding:
    if stale:
        message = f"The keys of {source} cannot be fetched again ({failure}): the last ones are used"
        severity = Severity.WARNING
    elif failure:
        message = f"The keys of {source} cannot be fetched ({failure}): its tokens are all refused"
        severity = Severity.ERROR
    else:
        message = f"The keys of {source} have not been fetched: until they are, its tokens are all refused"
        severity = Severity.INFO
    return Finding(
        code=NO_KEYS_YET,
        severity=severity,
        message=message,
        ref=ref,
        field=field,
        hint="A control plane that runs fetches them; see that it can reach the address, or write the keys into jwks",
    )
