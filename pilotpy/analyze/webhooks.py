"""What is doubtful about Istio's webhooks: where they lead, and whether several take the same Pod."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from urllib.parse import urlsplit

from pilotpy.analyze.kinds import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS
from pilotpy.analyze.repetition import once
from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.hosts import is_address
from pilotpy.mesh.kinds import SERVICES
from pilotpy.model.label_selector import LabelSelector
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.model.webhook import Webhook, WebhookConfiguration

_REVISION = "istio.io/rev"
_NAMES = {
    "MutatingWebhookConfiguration": ("istio-sidecar-injector",),
    "ValidatingWebhookConfiguration": ("istiod-default-validator", "istio-validator"),
}


def chosen(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Tell whether labels meet a selector; without one, all do."""
    return selector is None or selector.selects(labels)


def _injecting(written: Resource[WebhookConfiguration]) -> Iterable[str]:
    """Yield the one bucket of all webhooks that inject, by the revisions they name or by their names."""
    istios = any(one.name.endswith("istio.io") for one in written.spec.webhooks)
    return ("all",) if istios or any(_revisions(written)) else ()


_INJECTING = Index(MUTATING_WEBHOOKS, _injecting, "webhooks that inject")


@query
def address_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each webhook of Istio that leads to an address, or nowhere."""
    kind = MUTATING_WEBHOOKS if ref.kind == MUTATING_WEBHOOKS.name else VALIDATING_WEBHOOKS
    found = q.get(kind, "", ref.name)
    if found is None or not ref.name.startswith(_NAMES[ref.kind]):
        return ()
    return tuple(
        doubt for index, one in enumerate(found.spec.webhooks) for doubt in _led(ref, f"webhooks[{index}]", one)
    )


@query
def overlap_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each set of webhooks that would inject one Pod more than once."""
    own = q.get(MUTATING_WEBHOOKS, "", ref.name)
    all_ = list(q.by(_INJECTING, "all"))
    if own is None or own not in all_:
        return ()
    revisions = sorted({revision for one in all_ for revision in _revisions(one)})
    hooks = [(f"{one.ref.name}/{hook.name}", hook) for one in all_ for hook in one.spec.webhooks]
    found = []
    for namespace, pod in product(
        _labels("istio-injection", ("enabled", "disabled"), revisions),
        _labels("sidecar.istio.io/inject", ("true", "false"), revisions),
    ):
        taking = {
            n for n, one in hooks if chosen(one.namespace_selector, namespace) and chosen(one.object_selector, pod)
        }
        for index, one in enumerate(own.spec.webhooks):
            others = sorted(taking - {f"{ref.name}/{one.name}"})
            if f"{ref.name}/{one.name}" in taking and others:
                found.append(_overlap(ref, index, others))
    return once(found)


@query
def service_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each Service that injects and is not there."""
    own = q.get(MUTATING_WEBHOOKS, "", ref.name)
    found = []
    for index, one in enumerate(own.spec.webhooks if own and _injecting(own) else ()):
        service = one.client_config.service
        if service and q.get(SERVICES, service.namespace, service.name) is None:
            found.append(_no_service(ref, index, f"{service.namespace}/{service.name}"))
    return once(found)


def _revisions(written: Resource[WebhookConfiguration]) -> Iterator[str]:
    if _REVISION in written.meta.labels:
        yield written.meta.labels[_REVISION]
    for hook in written.spec.webhooks:
        for selector in (hook.namespace_selector, hook.object_selector):
            if selector and _REVISION in selector.match_labels:
                yield selector.match_labels[_REVISION]
            for one in selector.match_expressions if selector else ():
                if one.key == _REVISION:
                    yield from one.values


def _labels(key: str, values: tuple[str, ...], revisions: list[str]) -> list[dict[str, str]]:
    """Return all labels that matter: with and without the key, with and without each revision."""
    plain = [{}, *({key: value} for value in values)]
    return [*plain, *({**one, _REVISION: revision} for revision in revisions for one in plain)]


def _led(ref: Ref, field: str, hook: Webhook) -> Iterator[Finding]:
    url = hook.client_config.url
    if url is None:
        if hook.client_config.service is None:
            yield _nowhere(ref, field, "", hook.name, "is blank")
        return
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        yield _nowhere(ref, field, url, hook.name, "was provided in an invalid format")
        return
    if is_address(host):
        yield _address(ref, field, url, hook.name)


def _nowhere(ref: Ref, field: str, url: str, name: str, why: str) -> Finding:
    return Finding(
        code="IST0163",
        severity=Severity.WARNING,
        message=f"The hostname ({url}) that was provided for the webhook ({name}) to reach the ingress gateway on the"
        f" external control plane cluster {why}. Traffic may not flow properly",
        ref=ref,
        field=f"{field}.clientConfig",
        hint="Set url to an https URL with the host of the control plane",
    )


def _address(ref: Ref, field: str, url: str, name: str) -> Finding:
    return Finding(
        code="IST0164",
        severity=Severity.INFO,
        message=f"The address ({url}) that was provided for the webhook ({name}) to reach the ingress gateway on the"
        " external control plane cluster is an IP address. This is not recommended for a production environment",
        ref=ref,
        field=f"{field}.clientConfig.url",
        hint="Use a host name: an address cannot move",
    )


def _overlap(ref: Ref, index: int, others: list[str]) -> Finding:
    return Finding(
        code="IST0139",
        severity=Severity.ERROR,
        message=f"Webhook overlaps with others: [{' '.join(others)}]. This may cause injection to occur twice",
        ref=ref,
        field=f"webhooks[{index}]",
        hint="Remove one, or narrow its selectors",
    )


def _no_service(ref: Ref, index: int, name: str) -> Finding:
    return Finding(
        code="IST0139",
        severity=Severity.ERROR,
        message=f"Injector refers to a control plane service that does not exist: {name}",
        ref=ref,
        field=f"webhooks[{index}].clientConfig.service",
        hint="Name the Service of a control plane that runs, or remove the webhook",
    )
