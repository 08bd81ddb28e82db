"""What a proxy was started with where that decides over its listeners, in place of MeshConfig's defaultConfig.

From the ProxyConfig in a node's metadata to the little that is compiled of it: headers and tracing. Most proxies were
started with the mesh's own settings, and share their listeners with all others. Source: istiod's
``Proxy.Metadata.ProxyConfigOrDefault``.
"""

from __future__ import annotations

import msgspec

from pilotpy.engine import Asking, query
from pilotpy.mesh.config import mesh_config
from pilotpy.model.mesh_proxy_config import ProxyConfig, ProxyHeaders, Tracing
from pilotpy.model.message import Message
from pilotpy.model.resource import Finding, Severity
from pilotpy.schema.codes import NOT_COMPILED
from pilotpy.schema.mesh_config import proxy_config

_ROUTED = ("attempt_count", "x_forwarded_host")


class ProxySettings(Message, frozen=True):
    """What of a ProxyConfig decides over listeners."""

    proxy_headers: ProxyHeaders | None = None
    tracing: Tracing | None = None


@query
def own_settings(q: Asking, written: str) -> str:
    """Return the settings that a ProxyConfig in JSON makes, in JSON; "": those of the mesh, as if there were none."""
    read = proxy_config(written, "PROXY_CONFIG") if written else None
    own = read.config if read else None
    if own is None:
        for finding in read.findings if read else ():
            q.note(finding)
        return ""
    shared = q(mesh_config).default_config
    if _routed(own) != _routed(shared):
        q.note(_of_routes())
    settings = ProxySettings(own.proxy_headers, own.tracing)
    if settings == ProxySettings(shared.proxy_headers, shared.tracing):
        return ""
    return msgspec.json.encode(settings, order="sorted").decode()


def settings_in(text: str) -> ProxySettings:
    """Return what ``own_settings`` wrote down."""
    return msgspec.json.decode(text, type=ProxySettings)


def _routed(config: ProxyConfig) -> list[object]:
    return [getattr(config.proxy_headers, name, None) for name in _ROUTED]


def _of_routes() -> Finding:
    return Finding(
        code=NOT_COMPILED,
        severity=Severity.WARNING,
        message="attemptCount and xForwardedHost of a proxy's own ProxyConfig have no effect yet: the mesh's have",
        field="proxyHeaders",
        hint="Write them in defaultConfig of MeshConfig",
    )
