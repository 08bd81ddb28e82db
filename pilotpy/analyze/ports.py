"""What is doubtful about Services: port names that say no protocol, aliases that end nowhere."""

from __future__ import annotations

from collections.abc import Mapping

from pilotpy.engine import Asking, query
from pilotpy.mesh.hosts import service_host
from pilotpy.mesh.kinds import SERVICES
from pilotpy.mesh.protocol import selected_protocol
from pilotpy.mesh.service import Protocol, ServiceKey
from pilotpy.mesh.services import holder, service
from pilotpy.model.kubernetes import KubeServicePort
from pilotpy.model.resource import Finding, Ref, Severity

_SYSTEM = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage", "istio-system"})


@query
def port_name_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each port whose name says no protocol; an ExternalName must not say TCP either."""
    found = q.get(SERVICES, ref.namespace, ref.name)
    if found is None or ref.namespace in _SYSTEM or _is_istios(found.meta.labels):
        return ()
    external = found.spec.type == "ExternalName"
    doubtful = []
    for index, port in enumerate(found.spec.ports):
        # Any port but those that are never sniffed: the name is what counts here.
        spoken = selected_protocol(0, port.name, port.protocol, port.app_protocol or "")
        if external and spoken in {Protocol.AUTO, Protocol.TCP}:
            doubtful.append(_external_name(ref, index))
        elif not external and spoken is Protocol.AUTO:
            doubtful.append(_unnamed(ref, index, port))
    return tuple(doubtful)


def _is_istios(labels: Mapping[str, str]) -> bool:
    """Tell whether a Service is of Istio itself: nobody else names its ports."""
    return "istio" in labels or labels.get("release") == "istio" or "gateway.istio.io/managed" in labels


@query
def alias_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if following an ExternalName leads back to where it was before."""
    own = ServiceKey(ref.namespace, service_host(ref.namespace, ref.name))
    seen, key = {own}, _target(q, own)
    while key is not None and key not in seen:
        seen.add(key)
        key = _target(q, key)
    if key != own:
        return ()
    return (
        Finding(
            code="PP0112",
            severity=Severity.ERROR,
            message=f"The alias {own.host} stands for itself in the end",
            ref=ref,
            field="spec.externalName",
            hint="Let one of them name something that is no alias",
        ),
    )


def _target(q: Asking, key: ServiceKey) -> ServiceKey | None:
    found = q(service, key)
    return q(holder, found.alias_of) if found and found.alias_of else None


def _external_name(ref: Ref, index: int) -> Finding:
    return Finding(
        code="IST0150",
        severity=Severity.WARNING,
        message="Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and unmatched traffic"
        " for ports serving TCP protocol from being forwarded correctly",
        ref=ref,
        field=f"spec.ports[{index}].name",
        hint='Call it "http", "tls-api" or the like',
    )


def _unnamed(ref: Ref, index: int, port: KubeServicePort) -> Finding:
    target = port.target_port or port.port
    return Finding(
        code="IST0118",
        severity=Severity.INFO,
        message=f"Port name {port.name} (port: {port.port}, targetPort: {target})"
        " doesn't follow the naming convention of Istio port",
        ref=ref,
        field=f"spec.ports[{index}].name",
        hint='Call it "http", "tcp-db" or the like, or set appProtocol; until then its protocol is sniffed',
    )
