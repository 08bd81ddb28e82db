"""WorkloadEntry and WorkloadGroup: workloads that Istio admits, also as endpoints of a ServiceEntry.

Source: istio/istio pkg/config/validation/validation.go.
"""

from __future__ import annotations

import re

from pilotpy.model.resource import Resource
from pilotpy.model.workload_entry import RegisteredWorkload, WorkloadEntry
from pilotpy.model.workload_group import ReadinessProbe, WorkloadGroup
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import names, values

_PROBE_HEADER = re.compile(r"[-A-Za-z0-9]+")


def workload_entry(resource: Resource[RegisteredWorkload]) -> Problems:
    """What is wrong with a WorkloadEntry."""
    yield from endpoint(resource.spec, "spec", None, static=None)


def endpoint(entry: WorkloadEntry, at: str, ports: frozenset[str] | None, *, static: bool | None) -> Problems:
    """A workload. `ports`: the names that its service has; `static`: whether that resolves nothing; None: unknown."""
    address = entry.address
    unix = address.startswith(names.UNIX)
    if not address and not (entry.network and static is not False):
        yield Problem(f"{at}.address", "The address is missing")
    elif not address:
        yield warning(f"{at}.address", f"Without an address it is reached only through network {entry.network!r}")
    elif unix and static is not False:
        yield from names.unix_path(address.removeprefix(names.UNIX), f"{at}.address")
        if entry.ports:
            yield Problem(f"{at}.ports", "A socket has no ports")
        if ports is not None and len(ports) != 1:
            yield Problem(
                f"{at}.address",
                "A socket serves a service of exactly one port",
                "Leave all ports of the service out but one",
            )
    elif not names.is_address(address):
        if static:
            yield Problem(f"{at}.address", f"{address!r} is not an IP address, as resolution STATIC needs")
        else:
            yield from names.domain(address, f"{at}.address")
    for name, port in entry.ports.items():
        here = below(f"{at}.ports", name)
        if ports is not None and name not in ports:
            yield Problem(here, f"The service has no port {name!r}")
        yield from names.port_name(name, here)
        yield from names.port(port, here)
    yield from names.labels(entry.labels, f"{at}.labels")


def workload_group(resource: Resource[WorkloadGroup]) -> Problems:
    """What is wrong with a WorkloadGroup."""
    spec = resource.spec
    if spec.template is None:
        yield Problem("spec.template", "The template is missing")
    if spec.metadata:
        yield from names.labels(spec.metadata.labels, "spec.metadata.labels")
    if spec.probe:
        yield from _probe(spec.probe, "spec.probe")


def _probe(probe: ReadinessProbe, at: str) -> Problems:
    for field, number in (
        ("periodSeconds", probe.period_seconds),
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ):
        yield from values.not_negative(number, f"{at}.{field}")
    if probe.http_get:
        yield from names.port(probe.http_get.port, f"{at}.httpGet.port")
        if probe.http_get.scheme not in {"", "HTTP", "HTTPS"}:
            yield Problem(f"{at}.httpGet.scheme", f"{probe.http_get.scheme!r} is neither HTTP nor HTTPS")
        for i, header in enumerate(probe.http_get.http_headers):
            if not _PROBE_HEADER.fullmatch(header.name):
                here = below(f"{at}.httpGet.httpHeaders", i)
                yield Problem(
                    f"{here}.name", f"{header.name!r} is not the name of a header", "Letters, digits and dashes"
                )
    elif probe.tcp_socket:
        yield from names.port(probe.tcp_socket.port, f"{at}.tcpSocket.port")
    elif probe.exec:
        if not probe.exec.command:
            yield Problem(f"{at}.exec.command", "The command is missing")
    elif not probe.grpc:
        yield Problem(at, "One of httpGet, tcpSocket, exec and grpc is needed")
