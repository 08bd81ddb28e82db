"""BackendTLSPolicy: roots from one place, names of the type that they say.

Source: the validation rules of kubernetes-sigs/gateway-api apis/v1/backendtlspolicy_types.go.
"""

from __future__ import annotations

from typing import Final

from pilotpy.model.gateway_api_backend_tls_policy import BackendTLSPolicy
from pilotpy.model.resource import Resource
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems
from pilotpy.schema.validation.gateway_api_references import targets

_ROOTS: Final = "caCertificateRefs and wellKnownCACertificates"
_FIELDS: Final = {"Hostname": "hostname", "URI": "uri"}


def backend_tls_policy(resource: Resource[BackendTLSPolicy]) -> Problems:
    """What is wrong with a BackendTLSPolicy."""
    yield from targets(resource.spec.target_refs, "spec.targetRefs")
    validation = resource.spec.validation
    if validation.ca_certificate_refs and validation.well_known_ca_certificates:
        yield Problem("spec.validation", f"Only one of {_ROOTS} may be set")
    if not validation.ca_certificate_refs and not validation.well_known_ca_certificates:
        yield Problem("spec.validation", f"One of {_ROOTS} is needed")
    for i, one in enumerate(validation.subject_alt_names):
        at = below("spec.validation.subjectAltNames", i)
        written = {"Hostname": one.hostname, "URI": one.uri}
        for kind, field in _FIELDS.items():
            if kind == one.type and not written[kind]:
                yield Problem(f"{at}.{field}", f"{field} is missing: type is {kind}")
            if kind != one.type and written[kind]:
                yield Problem(f"{at}.{field}", f"{field} may only be set where type is {kind}, not {one.type}")
