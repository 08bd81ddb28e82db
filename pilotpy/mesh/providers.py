"""Extension providers: systems that MeshConfig names and other objects use by name.

From a name to the provider, and to the service behind it as the mesh knows it.
Follows ``pilot/pkg/networking/core/extension`` and ``LookupCluster`` of ``pilot/pkg/extensionproviders``.
"""

from __future__ import annotations

from pilotpy.engine import Asking, query
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.service import ServiceKey
from pilotpy.mesh.services import holder, service
from pilotpy.model.extension_provider import ExtensionProvider


@query
def extension_provider(q: Asking, name: str) -> ExtensionProvider | None:
    """Return the provider of a name, the first of several; None if there is none."""
    return next((one for one in q(mesh_config).extension_providers if one.name == name), None)


@query
def provider_host(q: Asking, name: str) -> str:
    """Return the host of a service that a provider names, as HOST or NAMESPACE/HOST; "" if there is no such service."""
    namespace, slash, host = name.rpartition("/")
    key = ServiceKey(namespace, host) if slash else q(holder, host)
    return key.host if key and q(service, key) else ""
