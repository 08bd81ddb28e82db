"""What is doubtful about policies by labels: selectors that pick the Pods of a gateway of the Gateway API."""

from __future__ import annotations

from pilotpy.analyze.kinds import KIND_OF
from pilotpy.analyze.pods import pairs
from pilotpy.analyze.repetition import once
from pilotpy.engine import Asking, query
from pilotpy.mesh.workloads import chosen_pods
from pilotpy.model.resource import Finding, Ref, Severity

_GATEWAY = "gateway.networking.k8s.io/gateway-name"


@query
def policy_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each such gateway whose Pods a policy of their namespace picks by labels."""
    policy = q.get(KIND_OF[ref.kind], ref.namespace, ref.name)
    spec = policy.spec if policy else None
    if spec is None or spec.target_ref or spec.selector is None or not spec.selector.match_labels:
        return ()
    pods = [dict(pod.labels) for pod in q(chosen_pods, ref.namespace, pairs(spec.selector.match_labels))]
    return once(_ineffective(ref, pod[_GATEWAY]) for pod in pods if _GATEWAY in pod)


def _ineffective(ref: Ref, gateway: str) -> Finding:
    return Finding(
        code="IST0166",
        severity=Severity.WARNING,
        message=f"Ineffective selector on Kubernetes Gateway {gateway}. Use the TargetRef field instead",
        ref=ref,
        field="spec.selector",
        hint=f"Write targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: {gateway}}}]",
    )
