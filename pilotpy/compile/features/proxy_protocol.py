"""The PROXY protocol before everything else: ``proxyProtocol`` to a transport socket around the one that is there.

Source: Istio's ``destination_rule.proto``, message ProxyProtocol; Envoy's ``upstream_proxy_protocol.proto``.
"""

from __future__ import annotations

from pilotpy.compile.wire import delimited, serialised
from pilotpy.model.destination_rule import ProxyProtocol
from pilotpy_protos.envoy.config.core.v3.proxy_protocol_pb2 import ProxyProtocolConfig
from pilotpy_protos.envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2 import (
    ProxyProtocolUpstreamTransport,
)

NAME = "envoy.transport_sockets.upstream_proxy_protocol"
TYPE = ProxyProtocolUpstreamTransport.DESCRIPTOR.full_name


def proxy_protocol(written: ProxyProtocol, socket: bytes) -> bytes:
    """The configuration of a socket that says who the client is, then is `socket`; both in wire format."""
    config = ProxyProtocolUpstreamTransport(config=ProxyProtocolConfig(version=written.version))
    return serialised(config) + delimited(ProxyProtocolUpstreamTransport.TRANSPORT_SOCKET_FIELD_NUMBER, socket)
