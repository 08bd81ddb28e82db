"""What is doubtful about routes by claims of JWTs: gateways on which nobody verifies tokens."""

from __future__ import annotations

from collections.abc import Iterator

from pilotpy.analyze.pods import pairs, pods_anywhere
from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.config import root_namespace
from pilotpy.mesh.kinds import GATEWAYS, REQUEST_AUTHENTICATIONS, VIRTUAL_SERVICES
from pilotpy.mesh.workloads import Workload, selects
from pilotpy.model.request_authentication import RequestAuthentication
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.model.virtual_service import VirtualService

_CLAIM = ("@request.auth.claims.", "@request.auth.claims[")


def _namespace(policy: Resource[RequestAuthentication]) -> Iterator[str]:
    yield policy.ref.namespace


_POLICIES_BY_NAMESPACE = Index(REQUEST_AUTHENTICATIONS, _namespace, "request authentications by namespace")


@query
def claim_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each Pod of a route's gateways that verifies no tokens, if the route asks for claims."""
    found = q.get(VIRTUAL_SERVICES, ref.namespace, ref.name)
    asked = next(_claims(found.spec), None) if found else None
    if found is None or asked is None:
        return ()
    field, claim = asked
    doubtful = []
    for written in found.spec.gateways:
        namespace, slash, name = written.rpartition("/")
        gateway = q.get(GATEWAYS, namespace if slash and namespace != "." else ref.namespace, name)
        for pod in q(pods_anywhere, pairs(gateway.spec.selector)) if gateway else ():
            doubtful += [] if _verifies(q, pod) else [_unverified(ref, field, claim, written, pod.name)]
    return tuple(doubtful)


def _claims(spec: VirtualService) -> Iterator[tuple[str, str]]:
    """Yield the matches that ask for a claim: field, key."""
    for index, http in enumerate(spec.http):
        for number, match in enumerate(http.match):
            for field, headers in (("headers", match.headers), ("withoutHeaders", match.without_headers)):
                for key in headers:
                    if key.startswith(_CLAIM):
                        yield f"spec.http[{index}].match[{number}].{field}", key


def _verifies(q: Asking, pod: Workload) -> bool:
    namespaces = {q(root_namespace), pod.namespace}
    policies = [one for namespace in sorted(namespaces) for one in q.by(_POLICIES_BY_NAMESPACE, namespace)]
    chosen = [one.spec.selector.match_labels if one.spec.selector else {} for one in policies]
    return any(selects(pairs(labels), pod.labels) for labels in chosen)


def _unverified(ref: Ref, field: str, claim: str, gateway: str, pod: str) -> Finding:
    return Finding(
        code="IST0149",
        severity=Severity.ERROR,
        message=f"The virtual service uses the JWT claim based routing (key: {claim}) but found no request"
        f" authentication for the gateway ({gateway}) pod ({pod})",
        ref=ref,
        field=field,
        hint="Apply a RequestAuthentication to the gateway's Pods: it verifies tokens and makes their claims known",
    )
