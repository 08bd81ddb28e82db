"""Which HTTP a cluster speaks: the port's protocol, ``h2UpgradePolicy`` and ``useClientProtocol``.

What HTTP/1.1 makes of the names of headers comes with it: clients' own spelling if the mesh wants it kept.

Source: Envoy's ``upstreams/http/v3/http_protocol_options.proto``; Istio's ``destination_rule.proto``, HTTPSettings.
"""

from __future__ import annotations

from pilotpy.compile.draft import Draft
from pilotpy.compile.pieces import preserved_case
from pilotpy.mesh.service import Protocol
from pilotpy.model.destination_rule import HTTPSettings
from pilotpy_protos.envoy.config.core.v3.protocol_pb2 import Http1ProtocolOptions


def upstream_protocol(draft: Draft) -> None:
    """Write which protocol is spoken; nothing for one version of HTTP only, which is Envoy's default."""
    settings = draft.policy.connection_pool
    http = settings.http if settings and settings.http else HTTPSettings()
    if http.use_client_protocol or draft.shape.protocol is Protocol.AUTO:
        # What was sniffed from the client is what the server is spoken to.
        as_client = draft.http.use_downstream_protocol_config
        as_client.http_protocol_options.SetInParent()
        as_client.http2_protocol_options.SetInParent()
        _keep_case(draft, as_client.http_protocol_options)
    elif draft.shape.protocol.is_http2 or (not draft.shape.inbound and _upgrades(draft, http)):
        draft.http.explicit_http_config.http2_protocol_options.SetInParent()
    elif draft.shape.protocol.is_http and draft.defaults.keeps_header_case:
        _keep_case(draft, draft.http.explicit_http_config.http_protocol_options)


def _keep_case(draft: Draft, http1: Http1ProtocolOptions) -> None:
    if draft.defaults.keeps_header_case:
        http1.header_key_format.CopyFrom(preserved_case())


def _upgrades(draft: Draft, http: HTTPSettings) -> bool:
    if http.h2_upgrade_policy != "DEFAULT":
        return http.h2_upgrade_policy == "UPGRADE"
    return draft.defaults.upgrades_to_http2 and draft.shape.protocol.is_http
