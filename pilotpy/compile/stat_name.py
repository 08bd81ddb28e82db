"""Names of statistics by the mesh's patterns: ``outboundClusterStatName``, ``inboundClusterStatName``.

Source: istiod's ``pilot/pkg/networking/telemetry``.
"""

from __future__ import annotations

from pilotpy.mesh.service import Port, Registry, Service


def stat_name(pattern: str, service: Service, port: Port, *, subset: str = "", target_port: int = 0) -> str:
    """The pattern with its words replaced; words that it does not know stay as they are."""
    kubernetes = service.registry is Registry.KUBERNETES
    host = service.key.host
    words = {
        "%SERVICE%": f"{service.name}.{service.key.namespace}" if kubernetes else host,
        "%SERVICE_NAME%": service.name if kubernetes else host,
        "%SERVICE_FQDN%": host,
        "%SERVICE_PORT%": str(port.number),
        "%SERVICE_PORT_NAME%": port.name,
        "%SUBSET_NAME%": subset,
        "%TARGET_PORT%": str(target_port),
    }
    for word, text in words.items():
        pattern = pattern.replace(word, text)
    return pattern
