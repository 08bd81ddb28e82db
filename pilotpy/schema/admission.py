"""From a raw object to a resource, if an API server with Istio's webhook would take it, and what there is to say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotpy.model.resource import Severity
from pilotpy.schema.decode import Decoded, decode_object
from pilotpy.schema.unsupported import unsupported
from pilotpy.schema.validation import validate


def admitted(raw: Mapping[str, Any], *, namespace: str = "default", strict: bool = True) -> Decoded:
    """The object, or None where it is refused, with every finding about it alone. Never raises.

    For objects that nobody has looked at yet, such as those of files; what comes from an API server
    has been through its admission and only needs decoding. Without `strict` an object of the right
    form is not refused, whatever else is wrong with it: so that an analysis can say more of it.
    """
    resource, findings = decode_object(raw, namespace=namespace)
    if resource is None:
        return Decoded(None, findings)
    wrong = validate(resource)
    if strict and any(finding.severity is Severity.ERROR for finding in wrong):
        return Decoded(None, [*findings, *wrong])
    return Decoded(resource, [*findings, *wrong, *unsupported(resource)])
