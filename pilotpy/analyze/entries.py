"""What is doubtful about ServiceEntries: opaque ports that share every address, hosts with two protocols."""

from __future__ import annotations

from pilotpy.engine import Asking, query
from pilotpy.mesh.config import export_default, mesh_config
from pilotpy.mesh.exports import Exporting, Exports, exports
from pilotpy.mesh.kinds import SERVICE_ENTRIES
from pilotpy.mesh.service_entries import ENTRIES_BY_HOST, Entry, entry_hosts
from pilotpy.model.resource import Finding, Ref, Severity

_CAPTURE = "ISTIO_META_DNS_CAPTURE"
_ALLOCATE = ("ISTIO_META_DNS_AUTO_ALLOCATE", "PILOT_ENABLE_IP_AUTOALLOCATE")


@query
def address_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each opaque port of an entry without addresses: it captures its port everywhere."""
    entry = q.get(SERVICE_ENTRIES, ref.namespace, ref.name)
    if entry is None or entry.spec.addresses or (entry.spec.status and entry.spec.status.addresses):
        return ()
    metadata = q(mesh_config).default_config.proxy_metadata
    if metadata.get(_CAPTURE) == "true" and any(metadata.get(name) == "true" for name in _ALLOCATE):
        return ()
    return tuple(
        Finding(
            code="IST0134",
            severity=Severity.WARNING,
            message="ServiceEntry addresses are required for this protocol",
            ref=ref,
            field=f"spec.ports[{index}].protocol",
            hint="Give it addresses, or a protocol that names hosts",
        )
        for index, port in enumerate(entry.spec.ports)
        if port.protocol.upper() in {"", "TCP"}
    )


@query
def protocol_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each host and port to which somebody sees entries give several protocols."""
    entry = q.get(SERVICE_ENTRIES, ref.namespace, ref.name)
    if entry is None:
        return ()
    found = []
    for host in entry_hosts(entry):
        rivals = [rival for rival in q.by(ENTRIES_BY_HOST, host) if _overlap(_exports(q, rival), _exports(q, entry))]
        for index, port in enumerate(entry.spec.ports):
            protocols = {
                (rival.ref, other.protocol.upper())
                for rival in rivals
                for other in rival.spec.ports
                if other.number == port.number
            }
            if len({protocol for _, protocol in protocols}) > 1:
                found.append(_conflict(ref, host, index, port.number, protocols))
    return tuple(found)


def _exports(q: Asking, entry: Entry) -> Exports:
    return exports(entry.spec.export_to, entry.ref.namespace, q(export_default, Exporting.SERVICE))


def _overlap(one: Exports, other: Exports) -> bool:
    if "~" in one | other:
        return False
    return "*" in one | other or bool(one & other)


def _conflict(ref: Ref, host: str, index: int, number: int, protocols: set[tuple[Ref, str]]) -> Finding:
    names = ", ".join(sorted({f"{rival.namespace}/{rival.name}" for rival, _ in protocols}))
    spoken = ", ".join(sorted({protocol for _, protocol in protocols}))
    return Finding(
        code="IST0177",
        severity=Severity.WARNING,
        message=f'Multiple ServiceEntries ({names}) define the same host "{host}" and port {number}'
        f" with conflicting protocols ({spoken})",
        ref=ref,
        field=f"spec.ports[{index}].protocol",
        hint="Give the port one protocol in all of them, or export them to different namespaces",
    )
