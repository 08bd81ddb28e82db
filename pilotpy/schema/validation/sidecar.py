"""Sidecar: listeners that Istio admits.

Source: istio/istio pkg/config/validation/validation.go, ValidateSidecar.
"""

from __future__ import annotations

from collections import defaultdict

from pilotpy.model.gateway import ServerTLSSettings
from pilotpy.model.resource import Resource
from pilotpy.model.sidecar import IstioEgressListener, IstioIngressListener, OutboundTrafficPolicy, Sidecar, SidecarPort
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import names
from pilotpy.schema.validation.destination_rule import connection_pool
from pilotpy.schema.validation.http_route import destination
from pilotpy.schema.validation.selectors import selector
from pilotpy.schema.validation.tls import server_tls

_LOCAL = frozenset({"", "127.0.0.1", "0.0.0.0", "::1", "::"})  # noqa: S104 - where an application may listen


def sidecar(resource: Resource[Sidecar]) -> Problems:
    """What is wrong with a Sidecar."""
    spec = resource.spec
    yield from selector(
        spec.workload_selector.labels if spec.workload_selector else None, "spec.workloadSelector.labels"
    )
    if not (spec.egress or spec.ingress or spec.outbound_traffic_policy or spec.inbound_connection_pool):
        yield Problem("spec", "The Sidecar says nothing", "Write egress, ingress or outboundTrafficPolicy")
    ports: set[int] = set()
    for i, ingress in enumerate(spec.ingress):
        yield from _ingress(ingress, below("spec.ingress", i), ports)
    yield from connection_pool(spec.inbound_connection_pool, "spec.inboundConnectionPool")
    taken: set[int | str] = set()
    for i, egress in enumerate(spec.egress):
        at = below("spec.egress", i)
        if egress.port is None and i < len(spec.egress) - 1:
            yield Problem(at, "A listener without a port takes all ports: there is one, and it stands last")
        yield from _egress(egress, at, taken)
        yield from _hosts(egress.hosts, f"{at}.hosts", resource.meta.namespace)
    yield from _outbound(spec.outbound_traffic_policy, "spec.outboundTrafficPolicy")


def _ingress(listener: IstioIngressListener, at: str, taken: set[int]) -> Problems:
    if listener.port is None:
        yield Problem(f"{at}.port", "The port is missing")
        return
    yield from _port(listener.port, f"{at}.port")
    yield from names.port(listener.port.number, f"{at}.port.number")
    if listener.bind:
        yield from names.address(listener.bind, f"{at}.bind")
    if listener.port.number in taken:
        yield Problem(f"{at}.port.number", f"There are two listeners for port {listener.port.number}")
    taken.add(listener.port.number)
    if listener.default_endpoint:
        yield from _endpoint(listener.default_endpoint, f"{at}.defaultEndpoint")
    if listener.tls:
        yield from _tls(listener.tls, listener.port.protocol, f"{at}.tls")
    yield from connection_pool(listener.connection_pool, f"{at}.connectionPool")
    limits = listener.connection_pool.http if listener.connection_pool else None
    if limits and listener.port.protocol.lower() not in names.HTTP_PROTOCOLS:
        message = f"Limits of HTTP have no effect on {listener.port.protocol or 'a sniffed protocol'}"
        yield warning(f"{at}.connectionPool.http", message, "Give the port a protocol of HTTP, or take them out")


def _port(port: SidecarPort, at: str) -> Problems:
    if port.target_port:
        yield Problem(f"{at}.targetPort", "A Sidecar's ports have no targetPort")
    if port.name:
        yield from names.port_name(port.name, f"{at}.name")
    yield from names.protocol(port.protocol, f"{at}.protocol")


def _endpoint(text: str, at: str) -> Problems:
    if text.startswith(names.UNIX):
        yield from names.unix_path(text.removeprefix(names.UNIX), at)
        return
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or (":" in host and not bracketed) or host.strip("[]") not in _LOCAL:
        hint = "127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///PATH"
        yield Problem(at, f"{text!r} is not where an application listens", hint)
    if colon:
        yield from names.port_text(port, at)


def _tls(tls: ServerTLSSettings, protocol: str, at: str) -> Problems:
    for field, given in (
        ("subjectAltNames", tls.subject_alt_names),
        ("httpsRedirect", tls.https_redirect),
        ("credentialName", tls.credential_name),
        ("credentialNames", tls.credential_names),
        ("tlsCertificates", tls.tls_certificates),
    ):
        if given:
            yield Problem(f"{at}.{field}", f"A Sidecar has no {field}")
    if tls.mode in {"ISTIO_MUTUAL", "AUTO_PASSTHROUGH"}:
        yield Problem(f"{at}.mode", f"A Sidecar has no mode {tls.mode}")
    if protocol.lower() not in names.TLS_PROTOCOLS:
        yield Problem(at, f"{protocol or 'A sniffed protocol'} has no TLS; HTTPS and TLS have")
    yield from server_tls(tls, at)


def _egress(listener: IstioEgressListener, at: str, taken: set[int | str]) -> Problems:
    port, bind = listener.port, listener.bind
    if port is None:
        return
    yield from _port(port, f"{at}.port")
    if port.number == 0:
        if not bind.startswith(names.UNIX):
            yield Problem(f"{at}.bind", "A listener without a port number is bound to a socket, unix:///PATH")
        else:
            yield from names.unix_path(bind.removeprefix(names.UNIX), f"{at}.bind")
        if listener.capture_mode == "IPTABLES":
            yield Problem(
                f"{at}.captureMode", "Nothing is captured for a socket", "Leave captureMode out, or write NONE"
            )
    else:
        yield from names.port(port.number, f"{at}.port.number")
        if bind:
            yield from names.address(bind, f"{at}.bind")
    key = port.number or bind
    if key in taken:
        yield Problem(at, f"There are two listeners for {key}")
    taken.add(key)


def _hosts(hosts: tuple[str, ...], at: str, namespace: str) -> Problems:
    if not hosts:
        yield Problem(at, "A listener needs hosts")
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for i, entry in enumerate(hosts):
        here = below(at, i)
        where, slash, host = entry.partition("/")
        if slash and not where.startswith("~"):
            known = seen[namespace if where == "." else where]
            if (host == "*" and known) or host in known or "*" in known:
                yield warning(here, f"{entry!r} adds nothing, or makes another superfluous", "Take one of the two out")
            known.add(host)
        yield from names.namespaced_host(entry, here, gateway=False)
    if "*" in seen["*"] and sum(map(bool, seen.values())) > 1:
        yield warning(at, '"*/*" is everything already', "Take the other hosts out")


def _outbound(policy: OutboundTrafficPolicy | None, at: str) -> Problems:
    if policy is None or policy.egress_proxy is None:
        return
    if policy.mode != "ALLOW_ANY":
        yield Problem(f"{at}.egressProxy", "There is an egress proxy only with mode ALLOW_ANY")
        return
    yield from names.domain(policy.egress_proxy.host, f"{at}.egressProxy.host")
    if policy.egress_proxy.port is None:
        yield Problem(f"{at}.egressProxy.port", "The port is missing")
    else:
        yield from destination(policy.egress_proxy, f"{at}.egressProxy")
