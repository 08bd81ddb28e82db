"""What is doubtful about the containers of workloads: proxies of another version, images nobody will fill in, users."""

from __future__ import annotations

from collections.abc import Iterator

from pilotpy.analyze.image_types import image_type
from pilotpy.analyze.injection import INJECTION, PROXY, REVISION, injector, proxy_of
from pilotpy.analyze.kinds import DEPLOYMENTS, MUTATING_WEBHOOKS
from pilotpy.analyze.pods import PODS_BY_NAMESPACE
from pilotpy.analyze.repetition import once
from pilotpy.analyze.webhooks import chosen
from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.kinds import NAMESPACES, PODS
from pilotpy.model.pod import Pod, PodSpec
from pilotpy.model.resource import Finding, Meta, Ref, Resource, Severity
from pilotpy.model.webhook import WebhookConfiguration

_RESERVED_USER = 1337


def _istios(written: Resource[WebhookConfiguration]) -> Iterator[str]:
    if any(one.name.endswith("istio.io") for one in written.spec.webhooks):
        yield "istio"


_INJECTORS = Index(MUTATING_WEBHOOKS, _istios, "webhooks of Istio")


@query
def version_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if Pods of a namespace run other proxies than would be injected now."""
    namespace = q.get(NAMESPACES, "", ref.name)
    labels = namespace.meta.labels if namespace else {}
    if labels.get(INJECTION) != "enabled" and REVISION not in labels:
        return ()
    image = q(injector, labels.get(REVISION, "")).image
    if not image:
        return ()
    pods = [pod for key in q.keys(PODS_BY_NAMESPACE, ref.name) if (pod := q.get(PODS, *key))]
    others = sorted(pod.ref.name for pod in pods if not _runs(q, pod, image))
    return (_other_version(ref, others),) if others else ()


def _runs(q: Asking, pod: Resource[Pod], image: str) -> bool:
    proxy = proxy_of(pod.spec)
    if proxy is None or pod.meta.annotations.get("sidecar.istio.io/proxyImage"):
        return True
    return proxy.image in {image, f"{image}-{q(image_type, pod.ref.namespace, pod.ref.name)}"}


@query
def pod_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return findings about the containers of a Pod: an image that injection left, the user of the proxy."""
    pod = q.get(PODS, ref.namespace, ref.name)
    if pod is None:
        return ()
    left = (_left(ref, Severity.ERROR),) if _is_open(pod.spec) else ()
    return (*left, *once(_users(ref, pod.meta, pod.spec, "spec")))


@query
def template_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return findings about the containers of a Deployment, as `pod_doubts` does."""
    deployment = q.get(DEPLOYMENTS, ref.namespace, ref.name)
    if deployment is None:
        return ()
    pod = deployment.spec.template
    namespace = q.get(NAMESPACES, "", ref.namespace)
    labels = (namespace.meta.labels if namespace else {}, pod.metadata.labels)
    hooks = [one for found in q.by(_INJECTORS, "istio") for one in found.spec.webhooks if one.name.endswith("istio.io")]
    injected = any(
        chosen(one.namespace_selector, labels[0]) and chosen(one.object_selector, labels[1]) for one in hooks
    )
    left = (_left(ref, Severity.WARNING),) if _is_open(pod.spec) and not injected else ()
    return (*left, *once(_users(ref, deployment.meta, pod.spec, "spec.template.spec")))


def _is_open(pod: PodSpec) -> bool:
    return any(one.name == PROXY and one.image == "auto" for one in pod.containers)


def _users(ref: Ref, meta: Meta, pod: PodSpec, at: str) -> Iterator[Finding]:
    """Yield a finding for each place that gives an application the user whose traffic is not captured."""
    if "istio" in meta.labels or meta.labels.get("release") == "istio":
        return
    if pod.security_context and pod.security_context.run_as_user == _RESERVED_USER:
        yield _proxy_user(ref, f"{at}.securityContext.runAsUser")
    for index, one in enumerate(pod.containers):
        if one.name != PROXY and one.security_context and one.security_context.run_as_user == _RESERVED_USER:
            yield _proxy_user(ref, f"{at}.containers[{index}].securityContext.runAsUser")


def _other_version(ref: Ref, pods: list[str]) -> Finding:
    return Finding(
        code="IST0158",
        severity=Severity.WARNING,
        message="The Istio proxy images of the pods running in the namespace do not match the image defined in the"
        f" injection configuration (pod names: [{' '.join(pods)}])",
        ref=ref,
        field="metadata.name",
        hint="Start these Pods anew",
    )


def _left(ref: Ref, severity: Severity) -> Finding:
    return Finding(
        code="IST0147" if severity is Severity.ERROR else "IST0146",
        severity=severity,
        message=f"{ref.kind} {ref.name} contains `image: auto` but does not match any Istio injection webhook"
        " selectors",
        ref=ref,
        field="spec.containers" if ref.kind == "Pod" else "spec.template.spec.containers",
        hint="Label it sidecar.istio.io/inject=true",
    )


def _proxy_user(ref: Ref, field: str) -> Finding:
    return Finding(
        code="IST0144",
        severity=Severity.WARNING,
        message="User ID (UID) 1337 is reserved for the sidecar proxy",
        ref=ref,
        field=field,
        hint="Run it as another user: what user 1337 sends does not go through the proxy",
    )
