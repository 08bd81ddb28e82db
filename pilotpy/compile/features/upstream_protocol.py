"""Which HTTP a cluster speaks: the port's protocol, ``h2UpgradePolicy`` and ``useClientProtocol``.

Source: Envoy's ``upstreams/http/v3/http_protocol_options.proto``; Istio's ``destination_rule.proto``, HTTPSettings.
"""

from __future__ import annotations

from pilotpy.compile.draft import Draft
from pilotpy.mesh.service import Protocol
from pilotpy.model.destination_rule import HTTPSettings


def upstream_protocol(draft: Draft) -> None:
    """Write which protocol is spoken; nothing for one version of HTTP only, which is Envoy's default."""
    settings = draft.policy.connection_pool
    http = settings.http if settings and settings.http else HTTPSettings()
    if http.use_client_protocol or draft.shape.protocol is Protocol.AUTO:
        # What was sniffed from the client is what the server is spoken to.
        as_client = draft.http.use_downstream_protocol_config
        as_client.http_protocol_options.SetInParent()
        as_client.http2_protocol_options.SetInParent()
    elif draft.shape.protocol.is_http2 or (not draft.shape.inbound and _upgrades(draft, http)):
        draft.http.explicit_http_config.http2_protocol_options.SetInParent()


def _upgrades(draft: Draft, http: HTTPSettings) -> bool:
    if http.h2_upgrade_policy != "DEFAULT":
        return http.h2_upgrade_policy == "UPGRADE"
    return draft.defaults.upgrades_to_http2 and draft.shape.protocol.is_http
