"""References of the Gateway API: parents and targets that are told apart, backends that can be found.

Source: the validation rules of kubernetes-sigs/gateway-api apis/v1/shared_types.go, object_reference_types.go and
backendtlspolicy_types.go.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pilotpy.model.gateway_api_references import BackendObjectReference, LocalPolicyTargetReference, ParentReference
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems


def parents(references: Sequence[ParentReference], at: str) -> Problems:
    """Parents of a route: of several references to one, each names another listener or port."""
    named = [(one.group, one.kind, one.namespace, one.name) for one in references]
    yield from _told_apart(named, [(one.section_name, one.port or 0) for one in references], at, "sectionName or port")


def targets(references: Sequence[LocalPolicyTargetReference], at: str) -> Problems:
    """Targets of a policy: of several references to one, each names another section."""
    named = [(one.group, one.kind, one.name) for one in references]
    yield from _told_apart(named, [(one.section_name,) for one in references], at, "sectionName")


def backends(references: Sequence[BackendObjectReference], at: str) -> Problems:
    """Backends of a rule."""
    for i, one in enumerate(references):
        yield from backend(one, below(at, i))


def backend(reference: BackendObjectReference, at: str) -> Problems:
    """A backend: a Service has ports, of which one is meant."""
    if (reference.group, reference.kind) == ("", "Service") and reference.port is None:
        yield Problem(f"{at}.port", "The port is missing: a Service is sent to by one of its ports")


def unique(values: Iterable[str | int], at: str, field: str, what: str) -> Problems:
    """Values of a field in a list, each there once. `what`: what they are, in a sentence. Empty ones do not count."""
    seen = Counter[str | int]()
    for i, value in enumerate(values):
        if value and seen[value]:
            here = below(at, i)
            yield Problem(f"{here}.{field}" if field else here, f"There are two {what} {value!r}")
        seen[value] += 1


def _told_apart(
    named: Sequence[tuple[str, ...]], sections: Sequence[tuple[str | int, ...]], at: str, by: str
) -> Problems:
    """`sections`: the parts that tell references to the same object apart; empty ones are not written."""
    seen: defaultdict[tuple[str, ...], list[tuple[str | int, ...]]] = defaultdict(list)
    for i, (name, section) in enumerate(zip(named, sections, strict=True)):
        before = seen[name]
        if section in before:
            yield Problem(below(at, i), f"There are two references to {name[-1]!r} with the same {by}")
        elif any([bool(part) for part in section] != [bool(part) for part in other] for other in before):
            yield Problem(below(at, i), f"Of several references to {name[-1]!r} each needs {by}")
        before.append(section)
