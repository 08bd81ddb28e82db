"""What is doubtful about fields that still may be written, and had better not be."""

from __future__ import annotations

from pilotpy.analyze.repetition import once
from pilotpy.engine import Asking, query
from pilotpy.mesh.kinds import SIDECARS, VIRTUAL_SERVICES
from pilotpy.model.resource import Finding, Ref, Severity
from pilotpy.schema.codes import DEPRECATED


@query
def route_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each deprecated field of a VirtualService."""
    found = q.get(VIRTUAL_SERVICES, ref.namespace, ref.name)
    return once(
        Finding(
            code=DEPRECATED,
            severity=Severity.WARNING,
            message="Deprecated: HTTPRoute.fault.delay.percent is deprecated; use HTTPRoute.fault.delay.percentage",
            ref=ref,
            field=f"spec.http[{index}].fault.delay.percent",
            hint="Write percentage: {value: ...}",
        )
        for index, http in enumerate(found.spec.http if found else ())
        if http.fault and http.fault.delay and http.fault.delay.percent
    )


@query
def sidecar_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each deprecated field of a Sidecar."""
    found = q.get(SIDECARS, ref.namespace, ref.name)
    policy = found.spec.outbound_traffic_policy if found else None
    if policy is None or policy.egress_proxy is None:
        return ()
    return (
        Finding(
            code=DEPRECATED,
            severity=Severity.WARNING,
            message="Deprecated: OutboundTrafficPolicy.EgressProxy ignored",
            ref=ref,
            field="spec.outboundTrafficPolicy.egressProxy",
            hint="Take it out: route by a VirtualService with a ServiceEntry instead",
        ),
    )
