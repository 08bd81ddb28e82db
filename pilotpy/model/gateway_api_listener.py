"""Listeners of Gateways and ListenerSets: where connections come in, and which routes may be attached.

Source: kubernetes-sigs/gateway-api apis/v1/gateway_types.go and listenerset_types.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from pilotpy.model.gateway_api_names import AnnotationValue, Group, Hostname, Kind, PortNumber, SectionName
from pilotpy.model.gateway_api_references import GROUP, ObjectReference, SecretObjectReference
from pilotpy.model.label_selector import LabelSelector
from pilotpy.model.message import Declared

Protocol = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        pattern=r"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?\Z"
        r"|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]+\Z",
        description="HTTP, HTTPS, TLS, TCP, UDP, or example.com/protocol for one of somebody's own",
    ),
]


class FrontendValidation(Declared, frozen=True):
    """Which certificates clients have to show."""

    ca_certificate_refs: Annotated[tuple[ObjectReference, ...], Meta(min_length=1, max_length=16)]
    mode: Literal["AllowValidOnly", "AllowInsecureFallback"] = "AllowValidOnly"


class ListenerTLS(Declared, frozen=True):
    """How a listener takes TLS."""

    mode: Literal["Terminate", "Passthrough"] = "Terminate"
    certificate_refs: Annotated[tuple[SecretObjectReference, ...], Meta(max_length=64)] = ()
    frontend_validation: FrontendValidation | None = None  # now the Gateway's tls.frontend; up to 1.3
    options: Annotated[Mapping[str, AnnotationValue], Meta(max_length=16)] = {}  # that only an implementation knows


class RouteGroupKind(Declared, frozen=True):
    """A kind of routes."""

    kind: Kind
    group: Group = GROUP


class RouteNamespaces(Declared, frozen=True):
    """Namespaces whose routes may be attached."""

    from_: Literal["All", "Selector", "Same"] = "Same"
    selector: LabelSelector | None = None  # of namespaces; counts with from: Selector alone


class AllowedRoutes(Declared, frozen=True):
    """Routes that may be attached."""

    namespaces: RouteNamespaces = RouteNamespaces()
    kinds: Annotated[tuple[RouteGroupKind, ...], Meta(max_length=8)] = ()  # (): those of the listener's protocol


class Listener(Declared, frozen=True):
    """A port, for a host name or for all."""

    name: SectionName
    port: PortNumber
    protocol: Protocol
    hostname: Hostname = ""  # "": all
    tls: ListenerTLS | None = None
    allowed_routes: AllowedRoutes = AllowedRoutes()


Listeners = Annotated[tuple[Listener, ...], Meta(min_length=1, max_length=64)]
