"""Gateways and ListenerSets of the Gateway API: listeners that can be told apart, with TLS where there is some.

Source: the validation rules of kubernetes-sigs/gateway-api apis/v1/gateway_types.go and listenerset_types.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from pilotpy.model.gateway_api_gateway import Gateway, GatewayAddress, GatewayInfrastructure
from pilotpy.model.gateway_api_listener import Listener
from pilotpy.model.gateway_api_listener_set import ListenerSet
from pilotpy.model.label_selector import LabelSelector
from pilotpy.model.resource import Resource
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import names
from pilotpy.schema.validation.gateway_api_references import unique

_ONCE: Final = ("IPAddress", "Hostname")  # types of which nobody gives an address twice
_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")


def kubernetes_gateway(resource: Resource[Gateway]) -> Problems:
    """What is wrong with a Gateway of the Gateway API."""
    gateway = resource.spec
    yield from _listeners(gateway.listeners)
    yield from _addresses(gateway.addresses, "spec.addresses")
    yield from _infrastructure(gateway.infrastructure, "spec.infrastructure")
    if gateway.allowed_listeners:
        chosen = gateway.allowed_listeners.namespaces
        yield from _selector(chosen.from_, chosen.selector, "spec.allowedListeners.namespaces")
    if gateway.tls and gateway.tls.frontend:
        ports = (one.port for one in gateway.tls.frontend.per_port)
        yield from unique(ports, "spec.tls.frontend.perPort", "port", "ports")


def listener_set(resource: Resource[ListenerSet]) -> Problems:
    """What is wrong with a ListenerSet."""
    yield from _listeners(resource.spec.listeners)


def _listeners(listeners: Sequence[Listener]) -> Problems:
    yield from unique((one.name for one in listeners), "spec.listeners", "name", "listeners")
    seen = Counter[tuple[int, str, str]]()
    for i, one in enumerate(listeners):
        at = below("spec.listeners", i)
        key = (one.port, one.protocol, one.hostname)
        if seen[key]:
            yield Problem(at, f"There are two listeners for {one.protocol} on port {one.port}, for the same hostname")
        seen[key] += 1
        yield from _listener(one, at)


def _listener(one: Listener, at: str) -> Problems:
    if one.protocol in {"HTTP", "TCP", "UDP"} and one.tls:
        yield Problem(f"{at}.tls", f"Protocol {one.protocol} has no TLS; HTTPS and TLS have")
    if one.protocol == "HTTPS" and one.tls and one.tls.mode != "Terminate":
        yield Problem(
            f"{at}.tls.mode", "Protocol HTTPS needs mode Terminate; protocol TLS may pass connections through"
        )
    if one.protocol == "TLS" and one.tls is None:
        yield Problem(f"{at}.tls", "Protocol TLS needs tls")
    if one.protocol in {"TCP", "UDP"} and one.hostname:
        yield Problem(f"{at}.hostname", f"Protocol {one.protocol} has no hostname")
    if one.tls and one.tls.mode == "Terminate" and not (one.tls.certificate_refs or one.tls.options):
        yield Problem(f"{at}.tls.certificateRefs", "To terminate TLS needs certificateRefs or options")
    chosen = one.allowed_routes.namespaces
    yield from _selector(chosen.from_, chosen.selector, f"{at}.allowedRoutes.namespaces")


def _addresses(addresses: Sequence[GatewayAddress], at: str) -> Problems:
    seen = Counter[GatewayAddress]()
    for i, one in enumerate(addresses):
        here = f"{below(at, i)}.value"
        if one.value and one.type in _ONCE and seen[one]:
            yield Problem(here, f"There are two addresses {one.value!r}")
        seen[one] += 1
        if one.value and one.type == "IPAddress":
            yield from names.address(one.value, here)
        if one.value and one.type == "Hostname" and not names.is_hostname(one.value):
            yield Problem(here, f"{one.value!r} is not a host name", "Write small letters: edge.example.com")


def _infrastructure(given: GatewayInfrastructure | None, at: str) -> Problems:
    if given is not None:
        yield from names.labels(given.labels, f"{at}.labels")
        yield from names.labels(dict.fromkeys(given.annotations, ""), f"{at}.annotations")


def _selector(from_: str, selector: LabelSelector | None, at: str) -> Problems:
    """A choice of namespaces. An API server takes it as it is, but nothing is chosen by what cannot be understood."""
    if from_ == "Selector" and selector is None:
        yield warning(f"{at}.selector", "from is Selector, and the selector is missing: no namespace is chosen")
    for i, one in enumerate(selector.match_expressions if selector else ()):
        here = below(f"{at}.selector.matchExpressions", i)
        if not one.key:
            yield Problem(f"{here}.key", "The key is missing: an expression is about a label")
        if not one.operator:
            yield Problem(f"{here}.operator", f"The operator is missing: one of {', '.join(_OPERATORS)}")
        elif one.operator not in _OPERATORS:
            said = f"{one.operator!r} is no operator: no namespace is chosen"
            yield warning(f"{here}.operator", said, f"Write one of {', '.join(_OPERATORS)}")
