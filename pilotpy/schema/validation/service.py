"""Service: ports that an API server admits.

Source: kubernetes/kubernetes pkg/apis/core/validation/validation.go, ValidateService.
"""

from __future__ import annotations

from typing import Final

from pilotpy.model.kubernetes import KubeService
from pilotpy.model.resource import Resource
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems
from pilotpy.schema.validation import names

_TRANSPORTS: Final = ("TCP", "UDP", "SCTP")


def service(resource: Resource[KubeService]) -> Problems:
    """What is wrong with a Service's ports."""
    ports = resource.spec.ports
    called: set[str] = set()
    numbers: set[tuple[int, str]] = set()
    for i, port in enumerate(ports):
        at = below("spec.ports", i)
        yield from names.port(port.port, f"{at}.port")
        if isinstance(port.target_port, int) and port.target_port:
            yield from names.port(port.target_port, f"{at}.targetPort")
        if port.protocol not in _TRANSPORTS:
            hint = f"Use TCP, and say {port.protocol.lower()} as appProtocol or in the port's name"
            yield Problem(f"{at}.protocol", f"{port.protocol!r} is none of {', '.join(_TRANSPORTS)}", hint)
        if port.name:
            yield from names.port_name(port.name, f"{at}.name")
        elif len(ports) > 1:
            yield Problem(f"{at}.name", "Of several ports each needs a name")
        if port.name and port.name in called:
            yield Problem(f"{at}.name", f"There are two ports {port.name!r}")
        if (port.port, port.protocol) in numbers:
            yield Problem(f"{at}.port", f"There are two ports {port.port} of {port.protocol}")
        called.add(port.name)
        numbers.add((port.port, port.protocol))
