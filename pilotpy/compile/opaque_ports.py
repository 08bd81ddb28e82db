"""What of a policy is lost on a port that is not HTTP, as findings: none of the filters shows it.

From a policy and a port of a workload that it is for. Source: istio/istio pilot/pkg/security/authz/model.
"""

from __future__ import annotations

from typing import Final

from pilotpy.compile.authorizers import Unfit, authorizer
from pilotpy.compile.features.rbac_rules import http_only
from pilotpy.compile.policy_rules import authorization_policy
from pilotpy.engine import Asking, query
from pilotpy.model.authorization_policy import Action
from pilotpy.model.resource import Finding, Ref, Severity

HTTP_ONLY: Final = "PP0403"  # about HTTP, for a port that is not HTTP


@query
def told_of_opaque_port(q: Asking, ref: Ref, port: int) -> None:
    """Leave a note for each term of a policy that is about HTTP, for a port of the workload that is not HTTP."""
    policy = authorization_policy(q, ref)
    if policy is None:
        return
    for i, rule in enumerate(policy.spec.rules):
        for field in http_only(rule):
            q.note(_http_only(ref, f"spec.rules[{i}].{field}", port, policy.spec.action))
    if policy.spec.action == "CUSTOM" and policy.spec.provider:
        asked = q(authorizer, policy.spec.provider.name)
        if not isinstance(asked, Unfit) and not asked.speaks_tcp:
            q.note(_unasked(ref, port, asked.name))


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
