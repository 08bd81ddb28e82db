"""Ingress: hosts, paths and backends that an API server admits.

Source: kubernetes/kubernetes pkg/apis/networking/validation/validation.go, ValidateIngress and ValidateIngressClass.
"""

from __future__ import annotations

import re
from typing import Final

from pilotpy.model.ingress import HTTPIngressPath, Ingress, IngressBackend, IngressClass, IngressServiceBackend
from pilotpy.model.resource import Resource
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems
from pilotpy.schema.validation import names

_NEVER: Final = ("//", "/./", "/../", "%2f", "%2F")
_CONTROLLER: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+")


def ingress(resource: Resource[Ingress]) -> Problems:
    """What is wrong with an Ingress."""
    spec = resource.spec
    if spec.default_backend:
        yield from _backend(spec.default_backend, "spec.defaultBackend")
    elif not spec.rules:
        yield Problem("spec", "One of defaultBackend and rules is needed")
    for i, rule in enumerate(spec.rules):
        at = below("spec.rules", i)
        yield from _host(rule.host, f"{at}.host")
        if rule.http and not rule.http.paths:
            yield Problem(f"{at}.http.paths", "Paths are missing: there must be one at least")
        for j, path in enumerate(rule.http.paths if rule.http else ()):
            yield from _path(path, below(f"{at}.http.paths", j))
    for i, tls in enumerate(spec.tls):
        for j, host in enumerate(tls.hosts):
            yield from _host(host, below(f"{below('spec.tls', i)}.hosts", j))


def ingress_class(resource: Resource[IngressClass]) -> Problems:
    """What is wrong with an IngressClass."""
    controller, parameters = resource.spec.controller, resource.spec.parameters
    if not _CONTROLLER.fullmatch(controller) or len(controller) > 250:
        yield Problem(
            "spec.controller", f"{controller!r} is not a domain and a path, such as istio.io/ingress-controller"
        )
    if parameters and (parameters.scope == "Namespace") is not bool(parameters.namespace):
        yield Problem("spec.parameters.namespace", "There must be a namespace if scope is Namespace, and only then")


def _host(host: str, at: str) -> Problems:
    if names.is_address(host):
        yield Problem(at, f"{host!r} is an address", "Write the name of a host, or leave it out for all")
    elif host and not names.is_hostname(host):
        yield Problem(at, f"{host!r} is not a host name", "Write small letters: shop.example.com or *.example.com")


def _path(path: HTTPIngressPath, at: str) -> Problems:
    yield from _backend(path.backend, f"{at}.backend")
    if path.path_type == "ImplementationSpecific":
        if path.path and not path.path.startswith("/"):
            yield Problem(f"{at}.path", f"{path.path!r} is not a path: it must begin with /")
        return
    if not path.path.startswith("/"):
        yield Problem(f"{at}.path", f"{path.path!r} is not a path: it must begin with /")
    elif found := [part for part in _NEVER if part in path.path]:
        yield Problem(f"{at}.path", f"A path may not contain {found[0]!r}")
    elif path.path.endswith(("/.", "/..")):
        yield Problem(f"{at}.path", f"A path may not end with {path.path.rpartition('/')[2]!r}")


def _backend(backend: IngressBackend, at: str) -> Problems:
    if backend.service is None and backend.resource is None:
        yield Problem(at, "One of service and resource is needed")
    if backend.service:
        yield from _service(backend.service, f"{at}.service")


def _service(service: IngressServiceBackend, at: str) -> Problems:
    port = service.port
    if not names.is_label(service.name):
        yield Problem(f"{at}.name", f"{service.name!r} is not the name of a Service", names.AS_LABEL)
    if port is None or (port.name is None and port.number is None):
        yield Problem(f"{at}.port", "The port is missing: write its name or its number")
    elif port.number is not None:
        yield from names.port(port.number, f"{at}.port.number")
    elif port.name is not None:
        yield from names.port_name(port.name, f"{at}.port.name")
