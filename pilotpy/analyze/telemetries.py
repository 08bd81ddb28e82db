"""What is doubtful about Telemetries: selectors that pick nobody, or somebody twice; providers that log nowhere."""

from __future__ import annotations

from collections.abc import Iterable

from pilotpy.analyze.missing import missing
from pilotpy.analyze.pods import Pairs, pairs, spelled
from pilotpy.analyze.repetition import once
from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.kinds import TELEMETRIES
from pilotpy.mesh.workloads import chosen_pods, selects
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.model.telemetry import Telemetry
from pilotpy.schema.codes import DEPRECATED


def _selector(telemetry: Resource[Telemetry] | None) -> Pairs:
    return pairs(telemetry.spec.selector.match_labels) if telemetry and telemetry.spec.selector else ()


def _selecting(telemetry: Resource[Telemetry]) -> Iterable[tuple[str, bool]]:
    plain = telemetry.spec.selector is None and not telemetry.spec.target_ref and not telemetry.spec.target_refs
    return [(telemetry.ref.namespace, not plain)]


_BY_NAMESPACE = Index(TELEMETRIES, _selecting, "telemetries by namespace, and whether they select")


@query
def selector_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if a selector picks no Pod of its namespace, else one for each Pod that others pick too."""
    selector = _selector(q.get(TELEMETRIES, ref.namespace, ref.name))
    if not selector:
        return ()
    pods = q(chosen_pods, ref.namespace, selector)
    if not pods:
        field, hint = "spec.selector.matchLabels", "No Pod of this namespace has these labels"
        return (missing(ref, field, "selector", spelled(selector), hint),)
    several = [(one.ref.name, _selector(one)) for one in q.by(_BY_NAMESPACE, (ref.namespace, True))]
    found = []
    for pod in pods:
        names = sorted(name for name, chosen in several if chosen and selects(chosen, pod.labels))
        if len(names) > 1:
            found.append(_for_one(ref, names, pod.name))
    return tuple(found)


@query
def rival_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if several Telemetries are for a whole namespace, this one among them."""
    names = sorted(str(key[1]) for key in q.keys(_BY_NAMESPACE, (ref.namespace, False)))
    return (_for_all(ref, names),) if len(names) > 1 and ref.name in names else ()


@query
def provider_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if an access log has no provider, and one for each tracer that is no more."""
    found = q.get(TELEMETRIES, ref.namespace, ref.name)
    if found is None:
        return ()
    mesh = q(mesh_config)
    doubtful = []
    if not mesh.default_providers.access_logging:
        for index, log in enumerate(found.spec.access_logging):
            if not log.disabled and not log.providers:
                doubtful.append(_no_provider(ref, index))
    gone = {one.name for one in mesh.extension_providers if one.lightstep}
    for index, tracing in enumerate(found.spec.tracing):
        for number, provider in enumerate(tracing.providers):
            if provider.name in gone:
                doubtful.append(_gone(ref, f"spec.tracing[{index}].providers[{number}]", provider.name))
    return once(doubtful)


def _for_one(ref: Ref, names: list[str], pod: str) -> Finding:
    return Finding(
        code="IST0159",
        severity=Severity.ERROR,
        message=f'The Telemetries [{" ".join(names)}] in namespace "{ref.namespace}" select the same workload pod'
        f' "{pod}", which can lead to undefined behavior',
        ref=ref,
        field="spec.selector.matchLabels",
        hint="Select each workload by one Telemetry",
    )


def _for_all(ref: Ref, names: list[str]) -> Finding:
    return Finding(
        code="IST0160",
        severity=Severity.ERROR,
        message=f'The Telemetries [{" ".join(names)}] in namespace "{ref.namespace}" have no workload selector,'
        " which can lead to undefined behavior",
        ref=ref,
        field="metadata.name",
        hint="Merge them, or give all but one a selector",
    )


def _no_provider(ref: Ref, index: int) -> Finding:
    return Finding(
        code="IST0157",
        severity=Severity.WARNING,
        message=f'The Telemetry {ref.name} in namespace "{ref.namespace}" with empty providers will be ignored',
        ref=ref,
        field=f"spec.accessLogging[{index}]",
        hint="Name a provider, or set defaultProviders.accessLogging in the MeshConfig",
    )


def _gone(ref: Ref, field: str, name: str) -> Finding:
    return Finding(
        code=DEPRECATED,
        severity=Severity.WARNING,
        message=f"Deprecated: The Lightstep provider {name} is deprecated, please migrate to OpenTelemetry provider",
        ref=ref,
        field=field,
        hint="Use a provider of kind opentelemetry",
    )
