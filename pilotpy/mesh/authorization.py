"""Which policies guard a workload: AuthorizationPolicies, and RequestAuthentications, that its labels select.

From the policies of its namespace and of the root namespace to refs; what the policies say is not read here, so an
edit of a rule moves no view. Follows Istio's ``pilot/pkg/model/authorization.go`` and ``policyattachment.go``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.config import root_namespace
from pilotpy.mesh.kinds import AUTHORIZATION_POLICIES, REQUEST_AUTHENTICATIONS
from pilotpy.mesh.workloads import selects
from pilotpy.model.authorization_policy import AuthorizationPolicy
from pilotpy.model.request_authentication import RequestAuthentication
from pilotpy.model.resource import Ref, Resource

Pairs = tuple[tuple[str, str], ...]


class Claim(NamedTuple):
    """Which workloads a policy is for."""

    age: tuple[float, str, str]
    ref: Ref
    selector: Pairs  # sorted; empty: all of the namespace, or of the mesh


def _namespace(policy: Resource[Any]) -> Iterable[str]:
    # What is attached to gateways and services by name is not for sidecars.
    attached = policy.spec.target_ref or policy.spec.target_refs
    return () if attached else (policy.ref.namespace,)


POLICIES_BY_NAMESPACE: Index[Resource[AuthorizationPolicy]] = Index(
    AUTHORIZATION_POLICIES, _namespace, "authorization policies by namespace"
)
AUTHENTICATIONS_BY_NAMESPACE: Index[Resource[RequestAuthentication]] = Index(
    REQUEST_AUTHENTICATIONS, _namespace, "request authentications by namespace"
)


@query
def authorization_claims(q: Asking, namespace: str) -> tuple[Claim, ...]:
    """Return whom the AuthorizationPolicies of a namespace are for, oldest first; may be empty."""
    return _claims(q.by(POLICIES_BY_NAMESPACE, namespace))


@query
def authentication_claims(q: Asking, namespace: str) -> tuple[Claim, ...]:
    """Return whom the RequestAuthentications of a namespace are for, oldest first; may be empty."""
    return _claims(q.by(AUTHENTICATIONS_BY_NAMESPACE, namespace))


def guarding(q: Asking, namespace: str, labels: Pairs) -> tuple[Ref, ...]:
    """Return the policies that hold for a workload with these labels: of each kind, oldest first; may be empty."""
    found: list[Ref] = []
    for claims in (authentication_claims, authorization_claims):
        near = (claim for owner in dict.fromkeys((q(root_namespace), namespace)) for claim in q(claims, owner))
        found += [claim.ref for claim in sorted(near) if selects(claim.selector, labels)]
    return tuple(found)


def _claims(policies: Iterable[Resource[Any]]) -> tuple[Claim, ...]:
    return tuple(sorted(Claim(one.age_order, one.ref, _selector(one)) for one in policies))


def _selector(policy: Resource[Any]) -> Pairs:
    chooser = policy.spec.selector
    return tuple(sorted(chooser.match_labels.items())) if chooser else ()
