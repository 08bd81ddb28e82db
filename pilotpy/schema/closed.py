"""What stands in for a policy that protects workloads and cannot be used: one for the same workloads that shuts them.

Nobody can tell what half of a policy would have let pass, so nothing is: unprotected is what its author meant least.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from pilotpy.model.authorization_policy import AuthorizationPolicy
from pilotpy.model.peer_authentication import MutualTLS, PeerAuthentication
from pilotpy.model.request_authentication import JWTRule, RequestAuthentication
from pilotpy.model.resource import Finding, Meta, Ref, Resource, Severity
from pilotpy.model.selector import WorkloadSelector
from pilotpy.schema import codes

_GROUP: Final = "security.istio.io/"

_SHUT: Final[Mapping[str, tuple[Callable[[WorkloadSelector | None], Any], str]]] = {
    "AuthorizationPolicy": (
        lambda selector: AuthorizationPolicy(selector=selector),  # without rules nothing is allowed
        "all requests to its workloads are refused",
    ),
    "PeerAuthentication": (
        lambda selector: PeerAuthentication(selector=selector, mtls=MutualTLS(mode="STRICT")),
        "plaintext to its workloads is refused",
    ),
    "RequestAuthentication": (
        lambda selector: RequestAuthentication(selector=selector, jwt_rules=(JWTRule(),)),  # no issuer, no keys
        "all tokens are refused by its workloads",
    ),
}


def closed(raw: Mapping[str, Any], namespace: str = "default") -> Resource[Any] | None:
    """What stands in for an object that was refused; None if it protects no workload, or has no name."""
    kind, version, metadata = raw.get("kind"), raw.get("apiVersion"), raw.get("metadata")
    spec = raw.get("spec")
    if not isinstance(kind, str) or kind not in _SHUT or not str(version).startswith(_GROUP):
        return None
    if not isinstance(metadata, Mapping) or not _is_name(metadata.get("name")):
        return None
    if isinstance(spec, Mapping) and (spec.get("targetRef") or spec.get("targetRefs")):
        return None  # for gateways and services, named one by one
    where = metadata["namespace"] if _is_name(metadata.get("namespace")) else namespace
    meta = Meta(name=metadata["name"], namespace=where, annotations=_texts(metadata.get("annotations")))
    shut, _ = _SHUT[kind]
    return Resource(Ref(kind, where, meta.name), meta, shut(_selector(spec)))


def told(ref: Ref) -> Finding:
    """What it means for users that something stands in for an object."""
    _, effect = _SHUT[ref.kind]
    return Finding(
        code=codes.SHUT,
        severity=Severity.ERROR,
        message=f"{ref} cannot be used: until it can, {effect}",
        ref=ref,
        hint="Mend what else is said of it, or delete it",
    )


def _selector(spec: Any) -> WorkloadSelector | None:
    """The workloads that an object says it is for; None: all of its namespace, also where that cannot be read."""
    try:
        return msgspec.convert(spec["selector"], WorkloadSelector)
    except (msgspec.ValidationError, KeyError, TypeError, IndexError):
        return None


def _texts(value: Any) -> Mapping[str, str]:
    well = isinstance(value, Mapping) and all(isinstance(text, str) for pair in value.items() for text in pair)
    return dict(value) if well else {}


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
