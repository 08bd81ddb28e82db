"""What an analysis takes for granted in a mesh that its files describe only in part: an ingress gateway.

Source: istio/istio pkg/config/analysis/local/defaults.go.
"""

from __future__ import annotations

from typing import Any, Final

from pilotpy.model.kubernetes import KubeService, KubeServicePort
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Meta, Ref, Resource

_NAMESPACE: Final = "istio-system"
_NAME: Final = "istio-ingressgateway"
_LABELS: Final = {"istio": "ingressgateway"}
_PORTS: Final = (("http2", 80), ("https", 443), ("tcp", 31400), ("tls", 15443))

DEFAULT_RESOURCES: Final[tuple[Resource[Any], ...]] = (
    Resource(
        Ref("Service", _NAMESPACE, _NAME),
        Meta(name=_NAME, namespace=_NAMESPACE, labels=_LABELS),
        KubeService(
            selector=_LABELS,
            ports=tuple(KubeServicePort(name=name, port=port) for name, port in _PORTS),
        ),
    ),
    Resource(
        Ref("Pod", _NAMESPACE, _NAME),
        Meta(name=_NAME, namespace=_NAMESPACE, labels=_LABELS),
        Pod(),
    ),
)
"""The Service and the Pod of an ingress gateway as Istio installs it. The Pod has no address: nothing runs."""
