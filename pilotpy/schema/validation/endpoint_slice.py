"""EndpointSlice: what an API server insists on and nobody who reads slices needs.

Source: kubernetes/kubernetes pkg/apis/discovery/validation/validation.go, ValidateEndpointSlice.
"""

from __future__ import annotations

from pilotpy.model.kubernetes import EndpointSlice
from pilotpy.model.resource import Resource
from pilotpy.schema.problem import Problems, warning


def endpoint_slice(resource: Resource[EndpointSlice]) -> Problems:
    """What is doubtful about an EndpointSlice's form."""
    if not resource.spec.address_type:
        yield warning(
            "addressType",
            "An API server would refuse this: addressType is missing",
            "Say addressType: IPv4, or IPv6; here the addresses themselves tell",
        )
