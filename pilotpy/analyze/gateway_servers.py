"""What is doubtful about the servers of Gateways: ports that no Service leads to, and servers that others have too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from pilotpy.analyze.missing import missing
from pilotpy.analyze.pods import Pairs, pairs, pods_anywhere, spelled
from pilotpy.analyze.repetition import once
from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.kinds import GATEWAYS, SERVICES
from pilotpy.model.gateway import Gateway, Server, ServerTLSSettings
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.resource import Finding, Ref, Resource, Severity


def _labels(gateway: Resource[Gateway]) -> Iterable[tuple[str, str]]:
    # A gateway without a selector is on every workload.
    return gateway.spec.selector.items() or [("", "")]


def _selecting(service: Resource[KubeService]) -> Iterable[tuple[str, str, str]]:
    return [(service.ref.namespace, *label) for label in service.spec.selector.items()]


GATEWAYS_BY_LABEL = Index(GATEWAYS, _labels, "gateways by label selected")
SERVICES_BY_LABEL = Index(SERVICES, _selecting, "services by namespace and label selected")


@query
def workload_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if a Gateway is on no Pod, else one for each port that no Service of its Pods has."""
    gateway = q.get(GATEWAYS, ref.namespace, ref.name)
    if gateway is None:
        return ()
    selector = pairs(gateway.spec.selector)
    pods = q(pods_anywhere, selector)
    if not pods:
        hint = "Select the labels of a gateway's Pods; Istio's own has istio: ingressgateway"
        return (missing(ref, "spec.selector", "selector", spelled(selector), hint),)
    ports = {port for pod in pods for port in q(offered_ports, pod.namespace, pod.labels)}
    return once(
        _port_not_offered(ref, index, server.port.number, selector)
        for index, server in enumerate(gateway.spec.servers)
        if server.port and server.port.number not in ports
    )


@query
def offered_ports(q: Asking, namespace: str, labels: Pairs) -> tuple[int, ...]:
    """Return the numbers that Services of a namespace give to the TCP ports of Pods, at both ends; sorted."""
    services = {one.ref: one for label in labels for one in q.by(SERVICES_BY_LABEL, (namespace, *label))}
    found = {
        number
        for service in services.values()
        if service.spec.selector.items() <= dict(labels).items()
        for port in service.spec.ports
        if port.protocol == "TCP"
        for number in (port.port, port.target_port)
        if isinstance(number, int)
    }
    return tuple(sorted(found))


@query
def conflict_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each server whose port and hosts another Gateway has on the same Pods."""
    gateway = q.get(GATEWAYS, ref.namespace, ref.name)
    rivals = [rival for rival in _near(q, gateway) if _share_pods(q, gateway, rival)] if gateway else []
    found = []
    for index, server in enumerate(gateway.spec.servers if gateway else ()):
        names = [_name(rival.ref) for rival in rivals if any(_same(server, other) for other in rival.spec.servers)]
        if gateway and names:
            found.append(_conflict(ref, index, server, pairs(gateway.spec.selector), names))
    return tuple(found)


@query
def certificate_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each other Gateway on its Pods that has a certificate of this one."""
    gateway = q.get(GATEWAYS, ref.namespace, ref.name)
    found = []
    for rival in _near(q, gateway) if gateway else ():
        if gateway and not gateway.spec.selector.items() <= rival.spec.selector.items():
            continue
        for index, server in enumerate(gateway.spec.servers if gateway else ()):
            tls = [other.tls for other in rival.spec.servers if other.tls]
            if server.tls and any(_same_certificate(server.tls, other) for other in tls):
                found.append(_duplicate(ref, index, rival.ref))
    return once(found)


def _near(q: Asking, gateway: Resource[Gateway]) -> Iterator[Resource[Gateway]]:
    """Yield the other gateways that may be on the same Pods, sorted by name."""
    buckets = [*gateway.spec.selector.items(), ("", "")]
    if not gateway.spec.selector:
        buckets = [cast("tuple[str, str]", bucket) for bucket in q.buckets(GATEWAYS_BY_LABEL)]
    found = {one.ref: one for bucket in buckets for one in q.by(GATEWAYS_BY_LABEL, bucket)}
    yield from (found[ref] for ref in sorted(found) if ref != gateway.ref)


def _share_pods(q: Asking, one: Resource[Gateway], other: Resource[Gateway]) -> bool:
    mine, theirs = one.spec.selector.items(), other.spec.selector.items()
    if mine == theirs:
        return True
    return (mine < theirs or theirs < mine) and bool(q(pods_anywhere, tuple(sorted({*mine, *theirs}))))


def _same(server: Server, other: Server) -> bool:
    ports = [one.port.number if one.port else 0 for one in (server, other)]
    return ports[0] == ports[1] and server.bind == other.bind and bool(set(server.hosts) & set(other.hosts))


def _same_certificate(one: ServerTLSSettings, other: ServerTLSSettings) -> bool:
    if one.credential_name or other.credential_name:
        return one.credential_name == other.credential_name
    files = (one.server_certificate, one.private_key)
    return all(files) and files == (other.server_certificate, other.private_key)


def _name(ref: Ref) -> str:
    return f"{ref.namespace}/{ref.name}"


def _port_not_offered(ref: Ref, index: int, number: int, selector: Pairs) -> Finding:
    return Finding(
        code="IST0162",
        severity=Severity.WARNING,
        message=f"The gateway is listening on a target port (port {number}) that is not defined in the Service"
        f" associated with its workload instances (Pod selector {spelled(selector)})",
        ref=ref,
        field=f"spec.servers[{index}].port.number",
        hint="Add the port to the Service, or clients of the Service cannot reach it",
    )


def _conflict(ref: Ref, index: int, server: Server, selector: Pairs, names: list[str]) -> Finding:
    number = server.port.number if server.port else 0
    return Finding(
        code="IST0145",
        severity=Severity.ERROR,
        message=f"Conflict with gateways {','.join(names)} (workload selector {spelled(selector)}, port {number},"
        f" hosts {','.join(server.hosts)})",
        ref=ref,
        field=f"spec.servers[{index}].hosts",
        hint="Give each host of a port to one Gateway only",
    )


def _duplicate(ref: Ref, index: int, rival: Ref) -> Finding:
    return Finding(
        code="IST0138",
        severity=Severity.WARNING,
        message=f"Duplicate certificate in multiple gateways [{_name(ref)} {_name(rival)}] may cause 404s"
        " if clients re-use HTTP2 connections",
        ref=ref,
        field=f"spec.servers[{index}].tls",
        hint="Serve all hosts of a certificate from one Gateway",
    )
