"""From settings and MeshConfig to the DNS names of the control plane's own certificate.

Source: pilot/pkg/bootstrap/certcontroller.go and pkg/dns of istio/istio.
"""

from __future__ import annotations

from pilotpy.model.mesh_config import MeshConfig
from pilotpy.ops.settings import Settings


def server_names(settings: Settings, mesh: MeshConfig) -> tuple[str, ...]:
    """The names by which proxies may call this control plane; sorted, each once, never empty."""
    namespace, revision = settings.system_namespace, settings.revision
    services = ["istiod", "istiod-remote", "istio-pilot"]
    if revision not in {"", "default"}:
        services.append(f"istiod-{revision}")
    host = mesh.default_config.discovery_address.rpartition(":")[0].strip("[]")
    names = {f"{service}.{namespace}.svc" for service in services}
    names |= {name.strip() for name in (host, *settings.custom_hosts.split(","))}
    return tuple(sorted(names - {""}))
