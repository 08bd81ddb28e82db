"""Annotations that Istio refuses.

Source: istio/istio pkg/config/validation/validation.go, validateMetadata.
"""

from __future__ import annotations

from typing import Any, Final

from pilotpy.model.authorization_policy import AuthorizationPolicy
from pilotpy.model.resource import Resource
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems

DRY_RUN: Final = "istio.io/dry-run"
_INTERNAL: Final = (
    "internal.istio.io/webhook-always-reject",
    "internal.istio.io/parent-namespace",
    "internal.istio.io/parents",
)
TRUE: Final = frozenset(["1", "t", "T", "TRUE", "true", "True"])
"""How an annotation may say yes."""
_FALSE: Final = frozenset(["0", "f", "F", "FALSE", "false", "False"])


def metadata(resource: Resource[Any]) -> Problems:
    """Annotations that only istiod writes, and a dry run of what cannot have one."""
    at = "metadata.annotations"
    written = resource.meta.annotations
    for name in _INTERNAL:
        if name in written:
            yield Problem(below(at, name), f"Only the control plane sets {name}")
    if DRY_RUN in written:
        here, value, spec = below(at, DRY_RUN), written[DRY_RUN], resource.spec
        if not isinstance(spec, AuthorizationPolicy):
            yield Problem(here, f"{resource.ref.kind} has no dry run")
        elif spec.action not in {"ALLOW", "DENY"}:
            yield Problem(here, f"Action {spec.action} has no dry run")
        elif value not in TRUE | _FALSE:
            yield Problem(here, f"{value!r} is neither true nor false")
