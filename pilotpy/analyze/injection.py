"""What is doubtful about injection: namespaces that do not say whether they want it, Pods that lack their proxy."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from pilotpy.engine import Asking, query
from pilotpy.mesh.config import root_namespace
from pilotpy.mesh.kinds import CONFIG_MAPS, NAMESPACES, PODS
from pilotpy.model.pod import Container, PodSpec
from pilotpy.model.resource import Finding, Ref, Severity

INJECTION = "istio-injection"
REVISION = "istio.io/rev"
MODE = "istio.io/dataplane-mode"
INJECT = "sidecar.istio.io/inject"
PROXY = "istio-proxy"

_NOT_OURS = frozenset({"istio-system", "kube-system", "kube-public", "kube-node-lease", "local-path-storage"})


class Injector(NamedTuple):
    """What is injected."""

    by_default: bool = False  # into namespaces that say nothing, too
    image: str = ""  # of the proxy; "": not known


@query
def injector(q: Asking, revision: str) -> Injector:
    """Return what the injector of a revision was installed to do; its defaults if that is not known."""
    name = "istio-sidecar-injector" if revision in {"", "default"} else f"istio-sidecar-injector-{revision}"
    found = q.get(CONFIG_MAPS, q(root_namespace), name)
    try:
        values = msgspec.json.decode(found.spec.data.get("values", "{}"), type=_Values) if found else _Values()
    except msgspec.DecodeError:
        return Injector()
    installed, proxy = values.global_, values.global_.proxy.image
    image = proxy if "/" in proxy or not proxy else f"{installed.hub}/{proxy}:{installed.tag}"
    return Injector(values.sidecar_injector_webhook.enable_namespaces_by_default, image)


class _Proxy(msgspec.Struct, frozen=True):
    image: str = ""


class _Global(msgspec.Struct, frozen=True):
    hub: str = ""
    tag: str | int = ""
    proxy: _Proxy = _Proxy()


class _Webhook(msgspec.Struct, frozen=True, rename="camel"):
    enable_namespaces_by_default: bool = False


class _Values(msgspec.Struct, frozen=True):
    """Helm's values, as the injector's ConfigMap keeps them."""

    global_: _Global = msgspec.field(default=_Global(), name="global")
    sidecar_injector_webhook: _Webhook = msgspec.field(default=_Webhook(), name="sidecarInjectorWebhook")


def proxy_of(pod: PodSpec) -> Container | None:
    """Return the container of a Pod's sidecar, or None if it has none."""
    return next((one for one in (*pod.containers, *pod.init_containers) if one.name == PROXY), None)


@query
def namespace_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if a namespace is labelled for several ways into the mesh, and one if it is for none."""
    found = q.get(NAMESPACES, "", ref.name)
    if found is None or ref.name in _NOT_OURS:
        return ()
    labels = found.meta.labels
    wanted = labels.get(INJECTION)
    ways = [f"{INJECTION}={wanted}"] if wanted is not None else []
    if wanted in {None, "enabled"}:
        ways += [f"{name}={labels[name]}" for name in (REVISION, MODE) if name in labels]
    several = (_several_ways(ref, ways),) if len(ways) > 1 else ()
    if labels.get(MODE) == "ambient" or wanted or REVISION in labels:
        return several
    return (*several, _by_default(ref) if q(injector, "").by_default else _not_injected(ref))


@query
def proxy_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if a Pod has no sidecar that its namespace would have it given."""
    pod = q.get(PODS, ref.namespace, ref.name)
    namespace = q.get(NAMESPACES, "", ref.namespace)
    if pod is None or namespace is None or namespace.meta.labels.get(INJECTION) != "enabled":
        return ()
    if ref.namespace in _NOT_OURS or namespace.meta.labels.get(MODE) == "ambient":
        return ()
    said = pod.meta.labels.get(INJECT, pod.meta.annotations.get(INJECT, ""))
    if said.lower() == "false" or pod.spec.host_network or proxy_of(pod.spec):
        return ()
    return (
        Finding(
            code="IST0103",
            severity=Severity.WARNING,
            message=f"The pod {ref.namespace}/{ref.name} is missing the Istio proxy",
            ref=ref,
            field="spec.containers",
            hint="Start it anew, or label it sidecar.istio.io/inject=false",
        ),
    )


@query
def is_undecided(q: Asking, namespace: str, name: str) -> bool:
    """Tell whether nobody says yet if a Pod will have a proxy: it runs nowhere, and neither it nor its Namespace does.

    Manifests often come without their Namespaces, which say so in a cluster; a lab gives all of these a proxy.
    """
    pod = q.get(PODS, namespace, name)
    if pod is None or pod.spec.node_name or pod.spec.host_network or q.get(NAMESPACES, "", namespace) is not None:
        return False
    return INJECT not in pod.meta.labels and INJECT not in pod.meta.annotations


def _several_ways(ref: Ref, ways: list[str]) -> Finding:
    return Finding(
        code="IST0123",
        severity=Severity.WARNING,
        message=f"The namespace has more than one type of injection labels [{' '.join(ways)}],"
        " which may lead to undefined behavior",
        ref=ref,
        field="metadata.labels",
        hint="Keep one of them",
    )


def _not_injected(ref: Ref) -> Finding:
    return Finding(
        code="IST0102",
        severity=Severity.INFO,
        message="The namespace is not enabled for Istio injection",
        ref=ref,
        field="metadata.name",
        hint=f"Label it: kubectl label namespace {ref.name} istio-injection=enabled, or =disabled if that is meant",
    )


def _by_default(ref: Ref) -> Finding:
    return Finding(
        code="IST0148",
        severity=Severity.INFO,
        message="The namespace is enabled for Istio injection, as Istio is installed with enableNamespacesByDefault",
        ref=ref,
        field="metadata.name",
        hint="Label it istio-injection=disabled if that is not meant",
    )
