"""The PROXY protocol before everything else: ``proxyProtocol`` to a transport socket around the one that is there.

Source: Istio's ``destination_rule.proto``, message ProxyProtocol; Envoy's ``upstream_proxy_protocol.proto``.
"""

from __future__ import annotations

from pilotpy.compile.draft import Draft
from pilotpy.compile.wire import packed
from pilotpy_protos.envoy.config.core.v3.base_pb2 import TransportSocket
from pilotpy_protos.envoy.config.core.v3.proxy_protocol_pb2 import ProxyProtocolConfig
from pilotpy_protos.envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2 import (
    ProxyProtocolUpstreamTransport,
)
from pilotpy_protos.envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer

_PLAINTEXT = TransportSocket(name="envoy.transport_sockets.raw_buffer", typed_config=packed(RawBuffer()))


def proxy_protocol(draft: Draft) -> None:
    """Wrap the cluster's transport socket, if the policy says so."""
    written = draft.policy.proxy_protocol
    if written is None:
        return
    wrapped = ProxyProtocolUpstreamTransport(
        config=ProxyProtocolConfig(version=written.version),
        transport_socket=_PLAINTEXT,
    )
    socket = draft.cluster.transport_socket
    socket.name = "envoy.transport_sockets.upstream_proxy_protocol"
    socket.typed_config.CopyFrom(packed(wrapped))
