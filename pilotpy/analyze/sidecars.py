"""What is doubtful about Sidecars: selectors that pick nobody, or somebody twice."""

from __future__ import annotations

from pilotpy.engine import Asking, query
from pilotpy.mesh.kinds import NAMESPACES, PODS, SIDECARS
from pilotpy.mesh.sidecars import sidecars
from pilotpy.mesh.workloads import chosen_pods, selects
from pilotpy.model.resource import Finding, Ref, Severity

Pairs = tuple[tuple[str, str], ...]


@query
def selector_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if a Sidecar's selector picks no Pod of its namespace."""
    selector = _selector(q, ref)
    if not selector or q(chosen_pods, ref.namespace, selector):
        return ()
    said = ",".join(f"{name}={value}" for name, value in selector)
    return (
        Finding(
            code="IST0101",
            severity=Severity.ERROR,
            message=f'Referenced selector not found: "{said}"',
            ref=ref,
            field="spec.workloadSelector.labels",
            hint="No Pod of this namespace has these labels",
        ),
    )


@query
def rival_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each Pod that other Sidecars pick too, or one if several are for all Pods."""
    selector, several = _selector(q, ref), q(sidecars, ref.namespace)
    if not selector:
        plain = [other.name for other, chosen in several if not chosen]
        return (_for_all(ref, plain),) if len(plain) > 1 and ref.name in plain else ()
    found = []
    for pod in q(chosen_pods, ref.namespace, selector):
        rivals = [other.name for other, chosen in several if chosen and selects(chosen, pod.labels)]
        if len(rivals) > 1:
            found.append(_for_one(ref, rivals, pod.name))
    return tuple(found)


@query
def ambient_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if the workloads that a Sidecar is for have no sidecars."""
    selector = _selector(q, ref)
    if selector:
        pods = [q.get(PODS, ref.namespace, pod.name) for pod in q(chosen_pods, ref.namespace, selector)]
        marks = [pod.meta.annotations.get("ambient.istio.io/redirection") for pod in pods if pod]
        return (_without_effect(ref, "selected workloads are"),) if marks and set(marks) == {"enabled"} else ()
    namespace = q.get(NAMESPACES, "", ref.namespace)
    labels = namespace.meta.labels if namespace else {}
    injected = labels.get("istio-injection") == "enabled" or "istio.io/rev" in labels
    ambient = labels.get("istio.io/dataplane-mode") == "ambient" and not injected
    return (_without_effect(ref, "namespace is"),) if ambient else ()


def _selector(q: Asking, ref: Ref) -> Pairs:
    found = q.get(SIDECARS, ref.namespace, ref.name)
    chooser = found.spec.workload_selector if found else None
    return tuple(sorted(chooser.labels.items())) if chooser else ()


def _for_all(ref: Ref, names: list[str]) -> Finding:
    return Finding(
        code="IST0111",
        severity=Severity.ERROR,
        message=f'The Sidecars [{" ".join(names)}] in namespace "{ref.namespace}" have no workload selector,'
        " which can lead to undefined behavior",
        ref=ref,
        hint=f"Only {names[0]} is used, the oldest",
    )


def _for_one(ref: Ref, names: list[str], pod: str) -> Finding:
    return Finding(
        code="IST0110",
        severity=Severity.ERROR,
        message=f'The Sidecars [{" ".join(names)}] in namespace "{ref.namespace}" select the same workload pod "{pod}",'
        " which can lead to undefined behavior",
        ref=ref,
        field="spec.workloadSelector.labels",
        hint=f"Only {names[0]} is used, the oldest",
    )


def _without_effect(ref: Ref, who: str) -> Finding:
    return Finding(
        code="IST0167",
        severity=Severity.WARNING,
        message=f"The policy has no impact: {who} in ambient mode",
        ref=ref,
        hint="Workloads of an ambient mesh have no sidecars",
    )
