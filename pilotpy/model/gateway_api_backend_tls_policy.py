"""BackendTLSPolicy: TLS between a Gateway and backends, and how these prove who they are.

Source: kubernetes-sigs/gateway-api apis/v1/backendtlspolicy_types.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, field

from pilotpy.model.gateway_api_names import AnnotationValue, Hostname, PreciseHostname
from pilotpy.model.gateway_api_references import LocalObjectReference, LocalPolicyTargetReference
from pilotpy.model.message import Declared

URI = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=r"^(([^:/?#]+):)(//([^/?#]*))([^?#]*)(\?([^#]*))?(#(.*))?",
        description="a URI such as spiffe://cluster.local/ns/shop/sa/reviews",
    ),
]
WellKnown = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=r"^(System|([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
        r"/([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]))\Z",
        description="System, or example.com/name for roots of somebody's own",
    ),
]


class SubjectAltName(Declared, frozen=True):
    """A name that a backend's certificate may have."""

    type: Literal["Hostname", "URI"]
    hostname: Hostname = ""
    uri: URI = ""


class BackendTLSPolicyValidation(Declared, frozen=True):
    """How backends prove who they are: roots of one's own, or such as everybody knows."""

    hostname: PreciseHostname  # is sent as SNI, and has to be in the certificate unless other names are wanted
    ca_certificate_refs: Annotated[tuple[LocalObjectReference, ...], Meta(max_length=8)] = ()
    well_known_ca_certificates: WellKnown = field(default="", name="wellKnownCACertificates")
    subject_alt_names: Annotated[tuple[SubjectAltName, ...], Meta(max_length=5)] = ()


class BackendTLSPolicy(Declared, frozen=True):
    """TLS to Services, or to ports of them."""

    target_refs: Annotated[tuple[LocalPolicyTargetReference, ...], Meta(min_length=1, max_length=16)]
    validation: BackendTLSPolicyValidation
    options: Annotated[Mapping[str, AnnotationValue], Meta(max_length=16)] = {}  # that only an implementation knows
