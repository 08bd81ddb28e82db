"""In place of the injector: which Pods have a proxy beside them, and the label by which clients know it.

Istio's injector labels each Pod that it gives a proxy; clients speak mutual TLS to Pods with that label. A folder has
no injector, so its Pods are labelled as one would: in the lab, where every Pod gets an Envoy unless it says no; offline
by the rules of Istio's webhooks. Source: istio/istio pkg/kube/inject/inject.go (injectRequired) and the selectors of
manifests/charts/istio-control/istio-discovery/templates/mutatingwebhook.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from pilotpy.model.pod import Pod
from pilotpy.model.resource import Resource

TLS_MODE: Final = "security.istio.io/tlsMode"

_INJECT: Final = "sidecar.istio.io/inject"
_STATUS: Final = "sidecar.istio.io/status"  # the injector has been here
_NO: Final = frozenset({"false", "no", "n", "off"})
_NEVER: Final = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})


def has_sidecar(pod: Resource[Pod]) -> bool:
    """Whether an Envoy stands beside a Pod of the lab: unless it shares its host's network or says no."""
    return not pod.spec.host_network and _said(pod, "true").lower() not in _NO


def is_injected(pod: Resource[Pod], namespace_labels: Mapping[str, str]) -> bool:
    """Whether a cluster's Pod has a proxy. One that has an address runs already: then it shows whether it has."""
    if pod.spec.status.pod_ip or _STATUS in pod.meta.annotations:
        return _STATUS in pod.meta.annotations
    if pod.spec.host_network or pod.ref.namespace in _NEVER:
        return False
    by_default = namespace_labels.get("istio-injection", "")
    enabled = by_default == "enabled" or (not by_default and "istio.io/rev" in namespace_labels)
    said = _said(pod, "")
    return by_default != "disabled" and (said == "true" or (enabled and said != "false"))


def labelled(pod: Resource[Pod]) -> Resource[Pod]:
    """The Pod with the label that it takes mutual TLS, unless it says which TLS it takes."""
    if TLS_MODE in pod.meta.labels:
        return pod
    meta = msgspec.structs.replace(pod.meta, labels={**pod.meta.labels, TLS_MODE: "istio"})
    return msgspec.structs.replace(pod, meta=meta)


def _said(pod: Resource[Pod], otherwise: str) -> str:
    return pod.meta.labels.get(_INJECT, pod.meta.annotations.get(_INJECT, otherwise))
