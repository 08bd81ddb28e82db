"""What is doubtful about the hosts of VirtualServices: others that are for the same hosts."""

from __future__ import annotations

from pilotpy.engine import Asking, query
from pilotpy.mesh.exports import Exports
from pilotpy.mesh.routing import ROUTES_BY_HOST, Claim, route_claim
from pilotpy.model.resource import Finding, Ref, Severity


@query
def host_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if somebody in the mesh sees another VirtualService for one of the same hosts."""
    own = q(route_claim, ref.namespace, ref.name)
    for host in own.hosts if own else ():
        keys = q.keys(ROUTES_BY_HOST, host)
        claims = [one for key in keys if (one := q(route_claim, str(key[0]), str(key[1])))]
        rivals = sorted((one for one in claims if own and _meet(own.seen_by, one.seen_by)), key=_age)
        if len(rivals) > 1:
            return (_conflict(ref, host, rivals),)
    return ()


def _age(claim: Claim) -> tuple[float, str, str]:
    return claim.age


def _meet(one: Exports, other: Exports) -> bool:
    if "~" in one | other:
        return False
    return "*" in one | other or bool(one & other)


def _conflict(ref: Ref, host: str, rivals: list[Claim]) -> Finding:
    names = [f"{one.ref.namespace}/{one.ref.name}" for one in rivals]
    return Finding(
        code="IST0109",
        severity=Severity.ERROR,
        message=f"The VirtualServices {','.join(sorted(names))} associated with mesh gateway define the same host"
        f" {host} which can lead to undefined behavior. This can be fixed by merging the conflicting VirtualServices"
        " into a single resource",
        ref=ref,
        field="spec.hosts",
        hint=f"Merge them: only {names[0]} is used where several are seen, the oldest",
    )
