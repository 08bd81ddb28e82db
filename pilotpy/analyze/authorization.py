"""What is doubtful about policies for requests: targets and peers that are not there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from pilotpy.analyze.pods import PODS_BY_NAMESPACE, pairs, pods_anywhere, spelled
from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.config import root_namespace
from pilotpy.mesh.kinds import AUTHORIZATION_POLICIES, KIND_OF, NAMESPACES
from pilotpy.mesh.workloads import chosen_pods
from pilotpy.model.kubernetes import Namespace
from pilotpy.model.resource import Finding, Ref, Resource, Severity


def _name(namespace: Resource[Namespace]) -> Iterable[str]:
    return (namespace.ref.name,)


_NAMESPACES_BY_NAME = Index(NAMESPACES, _name, "namespaces by name")


@query
def target_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if a policy is for no workload."""
    policy = q.get(KIND_OF[ref.kind], ref.namespace, ref.name)
    if policy is None or policy.spec.target_ref or policy.spec.target_refs:
        return ()
    everywhere = ref.namespace == q(root_namespace)
    selector = pairs(policy.spec.selector.match_labels) if policy.spec.selector else ()
    if not selector:
        return () if everywhere or q.keys(PODS_BY_NAMESPACE, ref.namespace) else (_nobody(ref, ""),)
    if q(pods_anywhere, selector) if everywhere else q(chosen_pods, ref.namespace, selector):
        return ()
    return (_nobody(ref, spelled(selector)),)


@query
def namespace_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each namespace, or pattern of some, among the peers of a policy that does not exist."""
    policy = q.get(AUTHORIZATION_POLICIES, ref.namespace, ref.name)
    found = []
    for rule, one in enumerate(policy.spec.rules if policy else ()):
        for number, peer in enumerate(one.from_):
            if peer.source is None:
                continue
            named = {"namespaces": peer.source.namespaces, "notNamespaces": peer.source.not_namespaces}
            for field, patterns in named.items():
                for index, pattern in enumerate(patterns):
                    if not _exists(q, pattern):
                        found.append(
                            _missing(ref, f"spec.rules[{rule}].from[{number}].source.{field}[{index}]", pattern)
                        )
    return tuple(found)


def _exists(q: Asking, pattern: str) -> bool:
    names = cast("tuple[str, ...]", q.buckets(_NAMESPACES_BY_NAME))
    if pattern.endswith("*"):
        return pattern == "*" or any(name.startswith(pattern[:-1]) for name in names)
    if pattern.startswith("*"):
        return any(name.endswith(pattern[1:]) for name in names)
    return pattern in names


def _nobody(ref: Ref, labels: str) -> Finding:
    return Finding(
        code="IST0127",
        severity=Severity.WARNING,
        message=f"No matching workloads for this resource with the following labels: {labels}",
        ref=ref,
        field="spec.selector.matchLabels" if labels else "",
        hint="Name labels that Pods have" if labels else "There are no Pods in this namespace",
    )


def _missing(ref: Ref, field: str, name: str) -> Finding:
    return Finding(
        code="IST0101",
        severity=Severity.ERROR,
        message=f'Referenced namespace not found: "{name}"',
        ref=ref,
        field=field,
        hint="Name a namespace that exists; a star may stand at one end",
    )
