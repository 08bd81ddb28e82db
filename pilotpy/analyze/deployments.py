"""What is doubtful about Deployments: Services that say different things of a port, an istiod that fetches anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from pilotpy.analyze.gateway_servers import SERVICES_BY_LABEL
from pilotpy.analyze.injection import INJECT, INJECTION, PROXY
from pilotpy.analyze.kinds import DEPLOYMENTS
from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.kinds import NAMESPACES, REQUEST_AUTHENTICATIONS
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.request_authentication import RequestAuthentication
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.model.workload import Deployment

_MOST_NAMES = 5
_BLOCKED = "BLOCKED_CIDRS_IN_JWKS_URIS"


def _any(_policy: Resource[RequestAuthentication]) -> Iterable[str]:
    return ("all",)


_POLICIES = Index(REQUEST_AUTHENTICATIONS, _any, "all request authentications")


@query
def port_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return findings for ports of a Deployment in the mesh of which its Services say different things."""
    deployment = q.get(DEPLOYMENTS, ref.namespace, ref.name)
    if deployment is None or not _in_mesh(q, deployment):
        return ()
    services = _services(q, deployment)
    protocols: defaultdict[int, set[str]] = defaultdict(set)
    takers: defaultdict[int, set[str]] = defaultdict(set)
    ports: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for service in services:
        for port in service.spec.ports:
            name = f"{service.ref.namespace}/{service.ref.name}"
            protocols[port.port].add(port.protocol)
            takers[port.port].add(name)
            ports[str(port.target_port or port.port)][port.port] = name
    found = [_protocols(ref, port, sorted(takers[port])) for port in sorted(protocols) if len(protocols[port]) > 1]
    return (*found, *(_ports(ref, target, ports[target]) for target in sorted(ports) if len(ports[target]) > 1))


def _in_mesh(q: Asking, deployment: Resource[Deployment]) -> bool:
    if deployment.meta.labels.get("gateway.istio.io/managed") == "istio.io-mesh-controller":
        return False  # a waypoint
    pod = deployment.spec.template
    if any(one.name == PROXY and one.image for one in pod.spec.containers):
        return True
    for said in (pod.metadata.labels, pod.metadata.annotations):
        if INJECT in said:
            return said[INJECT] == "true"
    namespace = q.get(NAMESPACES, "", deployment.ref.namespace)
    return namespace is not None and namespace.meta.labels.get(INJECTION) == "enabled"


def _services(q: Asking, deployment: Resource[Deployment]) -> list[Resource[KubeService]]:
    """Return the Services that select the Pods of a Deployment, sorted."""
    labels = deployment.spec.template.metadata.labels
    buckets = [(deployment.ref.namespace, *label) for label in labels.items()]
    found = {one.ref: one for bucket in buckets for one in q.by(SERVICES_BY_LABEL, bucket)}
    return [found[ref] for ref in sorted(found) if found[ref].spec.selector.items() <= labels.items()]


@query
def fetching_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if an istiod fetches keys for RequestAuthentications from wherever these say."""
    deployment = q.get(DEPLOYMENTS, ref.namespace, ref.name)
    if deployment is None or deployment.meta.labels.get("app") != "istiod":
        return ()
    environment = [one for container in deployment.spec.template.spec.containers for one in container.env]
    if any(one.name == _BLOCKED and one.value for one in environment):
        return ()
    names = [f"{key[0]}/{key[1]}" for key in q.keys(_POLICIES, "all")]
    return (_unrestricted(ref, sorted(names)),) if names else ()


def _protocols(ref: Ref, port: int, names: list[str]) -> Finding:
    return Finding(
        code="IST0116",
        severity=Severity.WARNING,
        message=f"This deployment {ref.name} is associated with multiple services using port {port}"
        f" but different protocols: [{' '.join(names)}]",
        ref=ref,
        field="metadata.name",
        hint="Let all Services of a port give it the same protocol",
    )


def _ports(ref: Ref, target: str, services: dict[int, str]) -> Finding:
    numbers = sorted(services)
    return Finding(
        code="IST0137",
        severity=Severity.WARNING,
        message=f"This deployment {ref.name} is associated with multiple services"
        f' [{" ".join(sorted(services.values()))}] using targetPort "{target}" but different ports: {numbers}',
        ref=ref,
        field="metadata.name",
        hint="Let all Services of a targetPort have the same port",
    )


def _unrestricted(ref: Ref, names: list[str]) -> Finding:
    shown = ", ".join(names[:_MOST_NAMES]) + (f", and {len(names) - _MOST_NAMES} more" if names[_MOST_NAMES:] else "")
    return Finding(
        code="IST0175",
        severity=Severity.WARNING,
        message=f"{_BLOCKED} is not configured but {len(names)} RequestAuthentication resource(s) exist ({shown})",
        ref=ref,
        field="spec.template.spec.containers",
        hint=f"Set {_BLOCKED} to the networks from which no keys may be fetched",
    )
