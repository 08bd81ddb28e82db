"""Which of the proxy's images a Pod is given: "distroless", "debug", ..., or "" for the plain one.

Source: istio/api networking/v1beta1/proxy_config.proto: the nearer setting wins, mesh to Pod.
"""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import indent

from pilotpy.analyze.pods import pairs
from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.config import mesh_config, root_namespace
from pilotpy.mesh.kinds import PODS, PROXY_CONFIGS
from pilotpy.mesh.workloads import selects
from pilotpy.model import mesh_proxy_config
from pilotpy.model.proxy_config import ProxyConfig
from pilotpy.model.resource import Resource
from pilotpy.schema.mesh_config import mesh_config as read_mesh_config

CONFIG = "proxy.istio.io/config"


def _namespace(config: Resource[ProxyConfig]) -> Iterable[str]:
    return (config.ref.namespace,)


_CONFIGS_BY_NAMESPACE = Index(PROXY_CONFIGS, _namespace, "proxy configs by namespace")


def annotated(text: str) -> mesh_proxy_config.ProxyConfig | None:
    """Return the settings that a Pod's annotation describes, over Istio's defaults; None if they are not valid."""
    read = read_mesh_config(f"defaultConfig:\n{indent(text, '  ')}", CONFIG)
    return read.config.default_config if read.config else None


@query
def image_type(q: Asking, namespace: str, name: str) -> str:
    """Return the type of image that a Pod's proxy should have; "" for the plain one, or if there is no such Pod."""
    pod = q.get(PODS, namespace, name)
    if pod is None:
        return ""
    image = q(mesh_config).default_config.image
    chosen = image.image_type if image else ""
    for owner in dict.fromkeys((q(root_namespace), namespace)):
        plain_first = sorted(q.by(_CONFIGS_BY_NAMESPACE, owner), key=lambda one: bool(one.spec.selector))
        for config in plain_first:
            labels = config.spec.selector.match_labels if config.spec.selector else {}
            if config.spec.image and selects(pairs(labels), pod.meta.labels.items()):
                chosen = config.spec.image.image_type or chosen
    said = pod.meta.annotations.get(CONFIG)
    own = annotated(said) if said else None
    if own and own.image:
        chosen = own.image.image_type or chosen
    return "" if chosen == "default" else chosen
