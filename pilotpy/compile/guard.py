"""From the policies of a workload to the filters that stand before it: who is asked, who is believed, who may pass.

Replicas, and all workloads with the same policies, share one guard. Whatever fails in it shuts: then its stand-in
lets nothing pass. Source: istio/istio pilot/pkg/security/authz/builder and pilot/pkg/security/authn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from pilotpy.compile.authorizers import Unfit, authorizer
from pilotpy.compile.features.authorization import Enforcement, Rules, denying, rbac_filter, refusing_all
from pilotpy.compile.features.ext_authz import BAD, MARK, asking
from pilotpy.compile.features.jwt_authn import jwt_filter
from pilotpy.compile.features.rbac_rules import Wire
from pilotpy.compile.policy_rules import authorization_policy, policy_rules
from pilotpy.compile.token_rules import token_rules
from pilotpy.engine import Asking, query
from pilotpy.model.authorization_policy import Action, AuthorizationPolicy
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.schema.validation.metadata import DRY_RUN, TRUE

NOBODY_TO_ASK: Final = "PP0405"  # a CUSTOM policy whose provider cannot be asked

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
    found = [policy for ref in policies if (policy := authorization_policy(q, ref)) is not None]
    tokens = _token_filter(q, policies)
    http, tcp = (
        Stages(_custom(q, found, wire), tokens if wire is Wire.HTTP else (), _rules(q, found, wire)) for wire in Wire
    )
    return Guard(http, tcp)


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
    rules = [one for ref in policies if ref.kind == "RequestAuthentication" for one in token_rules(q, ref)]
    return (jwt_filter(rules),) if rules else ()


def _on_trial(policy: Resource[AuthorizationPolicy]) -> bool:
    return policy.meta.annotations.get(DRY_RUN) in TRUE


def _nobody_to_ask(ref: Ref, unfit: Unfit) -> Finding:
    return Finding(
        code=NOBODY_TO_ASK,
        severity=Severity.ERROR,
        message=f"{unfit.reason}: all that the policy applies to is denied",
        ref=ref,
        field="spec.provider.name",
        hint=unfit.hint,
    )
