"""Gateway of the Gateway API: where traffic comes in, by which addresses, and what is made for that.

Istio's own Gateway is in `gateway`; refs call this kind KubernetesGateway.

Source: kubernetes-sigs/gateway-api apis/v1/gateway_types.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, field

from pilotpy.model.gateway_api_listener import FrontendValidation, Listeners
from pilotpy.model.gateway_api_names import AnnotationValue, LabelValue, ObjectName, PortNumber
from pilotpy.model.gateway_api_references import LocalObjectReference, SecretObjectReference
from pilotpy.model.label_selector import LabelSelector
from pilotpy.model.message import Declared

AddressType = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        # IPAddress, Hostname, NamedAddress (deprecated), or an implementation's own.
        pattern=r"^(Hostname|IPAddress|NamedAddress"
        r"|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+)\Z",
        description="IPAddress, Hostname, or example.com/type for one of somebody's own",
    ),
]


class GatewayAddress(Declared, frozen=True):
    """An address that a Gateway is wanted to have."""

    type: AddressType = "IPAddress"
    value: Annotated[str, Meta(max_length=253)] = ""  # "": any of that type


class GatewayInfrastructure(Declared, frozen=True):
    """What goes to the objects that are made for a Gateway."""

    labels: Annotated[Mapping[str, LabelValue], Meta(max_length=8)] = {}
    annotations: Annotated[Mapping[str, AnnotationValue], Meta(max_length=16)] = {}
    parameters_ref: LocalObjectReference | None = None


class ListenerNamespaces(Declared, frozen=True):
    """Namespaces whose ListenerSets may add listeners."""

    from_: Literal["All", "Selector", "Same", "None"] = "None"
    selector: LabelSelector | None = None  # of namespaces; counts with from: Selector alone


class AllowedListeners(Declared, frozen=True):
    """ListenerSets that may add listeners."""

    namespaces: ListenerNamespaces = ListenerNamespaces()


class GatewayBackendTLS(Declared, frozen=True):
    """How a Gateway shows itself to backends."""

    client_certificate_ref: SecretObjectReference | None = None


class FrontendTLSConfig(Declared, frozen=True):
    """How HTTPS listeners take clients."""

    validation: FrontendValidation | None = None


class PortTLSConfig(Declared, frozen=True):
    """The same for those of one port."""

    port: PortNumber
    tls: FrontendTLSConfig


class FrontendTLS(Declared, frozen=True):
    """How HTTPS listeners take clients: all, but for ports with a word of their own."""

    default: FrontendTLSConfig
    per_port: Annotated[tuple[PortTLSConfig, ...], Meta(max_length=64)] = ()


class GatewayTLS(Declared, frozen=True):
    """TLS of a Gateway as a whole, to both sides."""

    backend: GatewayBackendTLS | None = None
    frontend: FrontendTLS | None = None


class Gateway(Declared, frozen=True):
    """Listeners, and a class that says who implements them."""

    gateway_class_name: ObjectName
    listeners: Listeners
    addresses: Annotated[tuple[GatewayAddress, ...], Meta(max_length=16)] = ()  # (): the implementation chooses
    infrastructure: GatewayInfrastructure | None = None
    allowed_listeners: AllowedListeners | None = None  # None: no ListenerSet
    tls: GatewayTLS | None = None
    backend_tls: GatewayBackendTLS | None = field(default=None, name="backendTLS")  # now tls.backend; up to 1.3
    default_scope: Literal["All", "None"] | None = None  # All: for routes that use default Gateways
