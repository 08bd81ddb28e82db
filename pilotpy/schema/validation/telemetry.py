"""Telemetry: settings that Istio admits.

Source: istio/istio pkg/config/validation/validation.go, ValidateTelemetry.
"""

from __future__ import annotations

from collections.abc import Iterable

from pilotpy.model.resource import Resource
from pilotpy.model.telemetry import CustomTag, MetricsOverrides, ProviderRef, Telemetry, Tracing
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import values
from pilotpy.schema.validation.selectors import attachment


def telemetry(resource: Resource[Telemetry]) -> Problems:
    """What is wrong with a Telemetry."""
    spec = resource.spec
    yield from attachment(spec.selector, spec.target_ref, spec.target_refs, "spec")
    for i, metrics in enumerate(spec.metrics):
        at = below("spec.metrics", i)
        yield from _providers(metrics.providers, f"{at}.providers")
        for j, override in enumerate(metrics.overrides):
            yield from _override(override, below(f"{at}.overrides", j))
    if len(spec.tracing) > 1:
        yield warning("spec.tracing", "Only the first is used")
    for i, tracing in enumerate(spec.tracing):
        yield from _tracing(tracing, below("spec.tracing", i))
    for i, logging in enumerate(spec.access_logging):
        yield from _providers(logging.providers, f"{below('spec.accessLogging', i)}.providers")


def _providers(providers: Iterable[ProviderRef], at: str) -> Problems:
    for i, provider in enumerate(providers):
        if not provider.name:
            yield Problem(f"{below(at, i)}.name", "The provider's name is missing")


def _tracing(tracing: Tracing, at: str) -> Problems:
    if len(tracing.providers) > 1:
        yield warning(f"{at}.providers", "Only the first is used")
    yield from _providers(tracing.providers, f"{at}.providers")
    yield from values.percent(tracing.random_sampling_percentage or 0, f"{at}.randomSamplingPercentage")
    for name, tag in tracing.custom_tags.items():
        here = below(f"{at}.customTags", name)
        if not name:
            yield Problem(here, "A tag needs a name")
        yield from _tag(tag, here)


def _tag(tag: CustomTag, at: str) -> Problems:
    if tag.literal and not tag.literal.value:
        yield Problem(f"{at}.literal.value", "The value is missing")
    if tag.header and not tag.header.name:
        yield Problem(f"{at}.header.name", "The header's name is missing")
    if tag.environment and not tag.environment.name:
        yield Problem(f"{at}.environment.name", "The variable's name is missing")


def _override(override: MetricsOverrides, at: str) -> Problems:
    for name, tag in override.tag_overrides.items():
        here = below(f"{at}.tagOverrides", name)
        if not name:
            yield warning(here, "A tag needs a name")
        if tag.operation == "UPSERT" and not tag.value:
            yield Problem(f"{here}.value", "UPSERT needs a value")
        if tag.operation == "REMOVE" and tag.value:
            yield Problem(f"{here}.value", "REMOVE has no value")
    if override.match and override.match.custom_metric == "":
        yield Problem(f"{at}.match.customMetric", "The metric's name is missing")
