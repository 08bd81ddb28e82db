"""What is doubtful about EnvoyFilters: operations that depend on the order of filters, or do nothing where they are."""

from __future__ import annotations

from collections.abc import Iterable

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.kinds import ENVOY_FILTERS
from pilotpy.model.envoy_filter import EnvoyConfigObjectPatch, EnvoyFilter
from pilotpy.model.resource import Finding, Ref, Resource, Severity

_ROUTES = frozenset({"ROUTE_CONFIGURATION", "HTTP_ROUTE"})
_FILTERS = frozenset({"NETWORK_FILTER", "HTTP_FILTER"})
_RELATIVE = frozenset({"REMOVE", "REPLACE", "INSERT_BEFORE", "INSERT_AFTER"})


def _patched(patch: EnvoyConfigObjectPatch) -> str:
    """Return the name of what a patch is about, or ""."""
    value = patch.patch.value if patch.patch else None
    if not value:
        return ""
    if "name" in value:
        return str(value["name"])
    listener = patch.match.listener if patch.match else None
    chain = listener.filter_chain if listener else None
    return chain.filter.name if chain and chain.filter else ""


def _versioned(written: Resource[EnvoyFilter]) -> Iterable[str]:
    return {_patched(one) for one in written.spec.config_patches if _versions(one)}


_BY_VERSIONED_PATCH = Index(ENVOY_FILTERS, _versioned, "envoy filters by what they patch for some versions only")


@query
def patch_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each patch whose operation does nothing there, or needs an order that is not given."""
    found = q.get(ENVOY_FILTERS, ref.namespace, ref.name)
    doubtful = []
    versioned: set[str] = set()  # what earlier patches of this filter are about, for some versions only
    for index, one in enumerate(found.spec.config_patches if found else ()):
        field = f"spec.configPatches[{index}].patch.operation"
        operation = one.patch.operation if one.patch else "INVALID"
        if operation in {"ADD", "REMOVE"} and one.apply_to in _ROUTES:
            doubtful.append(_ignored(ref, field, operation))
        elif operation == "REPLACE" and one.apply_to not in _FILTERS:
            doubtful.append(_misplaced(ref, field))
        elif operation in _RELATIVE and found and found.spec.priority == 0:
            earlier = [other for other in q.by(_BY_VERSIONED_PATCH, _patched(one)) if other.age_order < found.age_order]
            doubtful.append(_relative(ref, field, versioned=bool(earlier) or _patched(one) in versioned))
        if _versions(one):
            versioned.add(_patched(one))
    return tuple(doubtful)


def _versions(patch: EnvoyConfigObjectPatch) -> str:
    return patch.match.proxy.proxy_version if patch.match and patch.match.proxy else ""


def _ignored(ref: Ref, field: str, operation: str) -> Finding:
    return Finding(
        code={"ADD": "IST0153", "REMOVE": "IST0154"}[operation],
        severity=Severity.ERROR,
        message=f"The {operation} operation will be ignored when applyTo is set to ROUTE_CONFIGURATION, or HTTP_ROUTE",
        ref=ref,
        field=field,
        hint="Use MERGE, or INSERT_FIRST for routes",
    )


def _misplaced(ref: Ref, field: str) -> Finding:
    return Finding(
        code="IST0152",
        severity=Severity.ERROR,
        message="The REPLACE operation is only valid for HTTP_FILTER and NETWORK_FILTER",
        ref=ref,
        field=field,
        hint="Use MERGE",
    )


def _relative(ref: Ref, field: str, *, versioned: bool) -> Finding:
    also = " and proxyVersion set" if versioned else ""
    return Finding(
        code="IST0155" if versioned else "IST0151",
        severity=Severity.WARNING,
        message=f"This EnvoyFilter does not have a priority and has a relative patch operation{also} which can cause"
        " the EnvoyFilter not to be applied",
        ref=ref,
        field=field,
        hint="Set a priority, or use INSERT_FIRST or ADD",
    )
