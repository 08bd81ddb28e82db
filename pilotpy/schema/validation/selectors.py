"""What policies apply to, and who may see them.

Source: istio/istio pkg/config/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pilotpy.model.selector import PolicyTargetReference, WorkloadSelector
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation.names import is_label

_TARGETS: Final = frozenset(
    {
        ("", "Service"),
        ("core", "Service"),
        ("networking.istio.io", "ServiceEntry"),
        ("gateway.networking.k8s.io", "Gateway"),
        ("gateway.networking.k8s.io", "GatewayClass"),
    }
)


def selector(labels: Mapping[str, str] | None, at: str) -> Problems:
    """Labels that select workloads. None: no selector."""
    if labels is None:
        return
    for key, value in labels.items():
        if not key:
            yield Problem(at, "A label's name may not be empty")
        if "*" in key or "*" in value:
            yield Problem(
                below(at, key), "A selector takes no wildcards", "Write out the value, or leave the label out"
            )
    if not labels:
        yield warning(at, "A selector without labels selects every workload of the namespace")


def policy_selector(chosen: WorkloadSelector | None, at: str) -> Problems:
    """As `selector`, in the form that policies write it."""
    yield from selector(chosen.match_labels if chosen else None, below(at, "selector.matchLabels"))


def attachment(
    chosen: WorkloadSelector | None,
    reference: PolicyTargetReference | None,
    references: Iterable[PolicyTargetReference],
    at: str,
) -> Problems:
    """What a policy is attached to: workloads by labels, or objects by name, not both."""
    references = tuple(references)
    if (chosen is not None) + (reference is not None) + bool(references) > 1:
        yield Problem(at, "Only one of selector, targetRef and targetRefs may be set")
    yield from policy_selector(chosen, at)
    if reference:
        yield from _target(reference, below(at, "targetRef"))
    for i, one in enumerate(references):
        yield from _target(one, below(below(at, "targetRefs"), i))


def _target(reference: PolicyTargetReference, at: str) -> Problems:
    if not reference.name:
        yield Problem(below(at, "name"), "The target's name is missing")
    if reference.namespace:
        yield Problem(below(at, "namespace"), "The target is in the same namespace; none may be named")
    if (reference.group, reference.kind) not in _TARGETS:
        kinds = ", ".join(sorted({kind for _, kind in _TARGETS}))
        yield Problem(at, f"{reference.kind} of {reference.group or 'core'} cannot be a target: {kinds} can")


def exports(entries: tuple[str, ...], namespace: str, at: str, *, may_hide: bool = False) -> Problems:
    """Namespaces that an object is visible in. `may_hide`: "~", nobody, is one of the choices."""
    seen: set[str] = set()
    for i, entry in enumerate(entries):
        here, name = below(at, i), namespace if entry == "." else entry
        if name in seen:
            yield Problem(here, f"{entry!r} stands there twice")
        elif entry == "~" and not may_hide:
            yield Problem(here, "Only a ServiceEntry can be visible to nobody (~)")
        elif entry not in {".", "*", "~"} and not is_label(entry):
            yield Problem(
                here,
                f"{entry!r} is not a namespace",
                'Write the name of a namespace, "." for the own one, or "*" for all',
            )
        seen.add(name)
    for alone, who in (("*", "everybody"), ("~", "nobody")):
        if alone in entries and len(entries) > 1:
            yield Problem(at, f"{alone!r} means {who}, so it stands alone", "Take the others out")
