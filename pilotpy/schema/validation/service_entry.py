"""ServiceEntry: services that Istio admits.

Source: istio/istio pkg/config/validation/validation.go, ValidateServiceEntry.
"""

from __future__ import annotations

from typing import Final

from pilotpy.model.resource import Resource
from pilotpy.model.service_entry import ServiceEntry
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import names
from pilotpy.schema.validation.selectors import exports, selector
from pilotpy.schema.validation.workload import endpoint

_ALLOCATION = "networking.istio.io/enable-autoallocate-ip"
_WAYPOINT = "istio.io/use-waypoint"
_DYNAMIC: Final = frozenset({"http", "http2", "grpc", "tls"})


def service_entry(resource: Resource[ServiceEntry]) -> Problems:
    """What is wrong with a ServiceEntry."""
    spec = resource.spec
    labels = spec.workload_selector.labels if spec.workload_selector else None
    yield from selector(labels, "spec.workloadSelector.labels")
    if spec.workload_selector and spec.endpoints:
        yield Problem("spec.endpoints", "Only one of workloadSelector and endpoints may be set")
    yield from _hosts(spec)
    for i, address in enumerate(spec.addresses):
        yield from names.subnet(address, below("spec.addresses", i))
    if any("/" in address for address in spec.addresses) and spec.resolution not in {"NONE", "STATIC"}:
        yield Problem("spec.addresses", f"There are no ranges of addresses with resolution {spec.resolution}")
    yield from _ports(resource)
    if spec.resolution == "NONE":
        if spec.endpoints:
            yield Problem("spec.endpoints", "There are no endpoints with resolution NONE")
        if spec.workload_selector:
            yield warning("spec.workloadSelector", "A selector has no effect with resolution NONE")
    elif spec.resolution == "DYNAMIC_DNS":
        yield from _dynamic(resource)
    else:
        yield from _endpoints(spec)
    if spec.resolution != "NONE" and len(spec.hosts) > 1:
        told_apart = names.HTTP_PROTOCOLS | names.TLS_PROTOCOLS
        if any(port.protocol.lower() not in told_apart for port in spec.ports):
            yield Problem(
                "spec.hosts", "Several hosts need ports of HTTP or TLS: others do not tell which one is meant"
            )
    yield from exports(spec.export_to, resource.meta.namespace, "spec.exportTo", may_hide=True)


def _hosts(spec: ServiceEntry) -> Problems:
    if not spec.hosts:
        yield Problem("spec.hosts", "A ServiceEntry needs hosts")
    for i, host in enumerate(spec.hosts):
        at = below("spec.hosts", i)
        if host == "*":
            yield Problem(at, 'A ServiceEntry cannot be for all hosts, "*"')
            continue
        yield from names.wildcard_domain(host, at)
        if spec.resolution != "DYNAMIC_DNS":
            for problem in names.whole_wildcard(host, at):
                yield warning(at, problem.message, "Write *.example.com")


def _ports(resource: Resource[ServiceEntry]) -> Problems:
    spec = resource.spec
    allocated = resource.meta.labels.get(_ALLOCATION, "").lower() != "false" and spec.resolution != "NONE"
    numbers: set[int] = set()
    known: set[str] = set()
    for i, port in enumerate(spec.ports):
        at = below("spec.ports", i)
        if port.name in known:
            yield Problem(f"{at}.name", f"There are two ports {port.name!r}")
        if port.number in numbers:
            yield Problem(f"{at}.number", f"There are two ports {port.number}")
        known.add(port.name)
        numbers.add(port.number)
        yield from names.port_name(port.name, f"{at}.name")
        yield from names.protocol(port.protocol, f"{at}.protocol")
        yield from names.port(port.number, f"{at}.number")
        if port.target_port:
            yield from names.port(port.target_port, f"{at}.targetPort")
        if not spec.addresses and not allocated and port.protocol in {"", "TCP"}:
            yield warning(at, "Without addresses of its own, TCP to this service is told from no other")


def _endpoints(spec: ServiceEntry) -> Problems:
    static = spec.resolution == "STATIC"
    ports = frozenset(port.name for port in spec.ports)
    for i, one in enumerate(spec.endpoints):
        yield from endpoint(one, below("spec.endpoints", i), ports, static=static)
    if static:
        return
    if not spec.endpoints:
        for i, host in enumerate(spec.hosts):
            for _ in names.domain(host, ""):
                yield Problem(
                    below("spec.hosts", i), f"{host!r} is no name that DNS could resolve: endpoints are needed"
                )
    if spec.resolution == "DNS_ROUND_ROBIN" and len(spec.endpoints) > 1:
        yield Problem("spec.endpoints", "There is at most one endpoint with resolution DNS_ROUND_ROBIN")
    if spec.addresses and len(spec.hosts) > 1 and any(p.protocol.lower() in names.TCP_PROTOCOLS for p in spec.ports):
        yield warning(
            "spec.hosts",
            "Connections to a shared address do not tell which of several hosts is meant",
            "Write an entry for each host, with an address of its own",
        )


def _dynamic(resource: Resource[ServiceEntry]) -> Problems:
    spec = resource.spec
    for i, host in enumerate(spec.hosts):
        if not host.startswith("*"):
            yield Problem(
                below("spec.hosts", i),
                "Hosts are wildcards with resolution DYNAMIC_DNS",
                "Write *.example.com, or resolution DNS",
            )
    for field, given in (("addresses", spec.addresses), ("endpoints", spec.endpoints)):
        if given:
            yield Problem(
                f"spec.{field}", f"There are no {field} with resolution DYNAMIC_DNS: the request names the host"
            )
    for i, port in enumerate(spec.ports):
        if port.protocol.lower() not in _DYNAMIC:
            yield Problem(
                f"{below('spec.ports', i)}.protocol",
                "Resolution DYNAMIC_DNS is for HTTP, HTTP2, GRPC and TLS",
                "Write one of these protocols, or another resolution",
            )
    if spec.location == "MESH_INTERNAL" and resource.meta.labels.get(_WAYPOINT, "").lower() not in {"", "none"}:
        yield Problem(
            "spec.location",
            "With a waypoint, resolution DYNAMIC_DNS is for MESH_EXTERNAL",
            "Write location: MESH_EXTERNAL, or another resolution",
        )
