"""How the connections of a cluster are secured: from its policy, and what its endpoints can do, to transport sockets.

A rule's ``tls`` holds for all endpoints. Without one, endpoints with a proxy are spoken to in mutual TLS and the others
in plaintext: their metadata say which. Source: istiod's ``pilot/pkg/networking/core/cluster_tls.go``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pilotpy.compile.draft import ORIGINAL_DST, Dialect, Outlet, defaults
from pilotpy.compile.features import proxy_protocol as proxied
from pilotpy.compile.features.tls import is_originated, mutual, offered_protocols, originated, with_files
from pilotpy.compile.naming import default_sni
from pilotpy.compile.settings import Settings
from pilotpy.compile.wire import delimited, packed, packed_bytes, serialised
from pilotpy.engine import Asking
from pilotpy.mesh.identities import identities
from pilotpy.mesh.mtls import all_mutual, auto_mutual
from pilotpy.mesh.service import Port, Registry, Service
from pilotpy.mesh.traffic_policy import NO_RULE, traffic_rule
from pilotpy.mesh.workloads import MUTUAL
from pilotpy.model.destination_rule import ClientTLSSettings, ProxyProtocol
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster
from pilotpy_protos.envoy.config.core.v3.base_pb2 import TransportSocket
from pilotpy_protos.envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer
from pilotpy_protos.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import UpstreamTlsContext

_TLS: Final = "envoy.transport_sockets.tls"
_PLAINTEXT: Final = serialised(
    TransportSocket(name="envoy.transport_sockets.raw_buffer", typed_config=packed(RawBuffer()))
)

_Match = Cluster.TransportSocketMatch


class Upstream(NamedTuple):
    """A cluster, as far as its connections depend on it."""

    service: Service
    port: Port
    outlet: Outlet
    settings: Settings
    spoken: Dialect


def transport_sockets(q: Asking, upstream: Upstream) -> bytes:
    """The fields of a cluster that secure its connections, in wire format; empty: they are plaintext."""
    found, outlet, settings = upstream.service, upstream.outlet, upstream.settings
    rule = q(traffic_rule, outlet.rules) if outlet.rules else NO_RULE
    policy = rule.policy(outlet.port, outlet.subset)
    tls, proxy = _in_own_files(policy.tls, upstream), policy.proxy_protocol
    if tls is not None and tls.mode == "ISTIO_MUTUAL":
        return _only(_mutual(q, upstream, tls), proxy)
    # A credential is for the workloads that a rule selects: others may not read it, and would wait for it in vain.
    if is_originated(tls) and (rule.of_workloads or not tls.credential_name):
        accepted = tls.subject_alt_names
        if not accepted and found.registry is Registry.EXTERNAL:
            accepted = q(identities, found.key)
        context = originated(tls, accepted, q(defaults).tls, http2=settings.http2)
        return _only(_tls(context), proxy)
    if tls is not None or not _speaks_mutual_unasked(q, upstream):
        return _only(_PLAINTEXT, proxy) if proxy else b""
    socket = _mutual(q, upstream, ClientTLSSettings())
    if settings.discovery == ORIGINAL_DST:
        return _only(socket, proxy)  # endpoints that are not listed have no metadata
    return _either(_IF_MUTUAL, socket, proxy) + _either(_ELSE, _PLAINTEXT, proxy)


def _in_own_files(tls: ClientTLSSettings | None, upstream: Upstream) -> ClientTLSSettings | None:
    """What a rule asks for; where the proxy has a certificate in files, mutual TLS in the mesh with that one."""
    files = upstream.spoken.files
    if tls is None or tls.mode not in {"MUTUAL", "ISTIO_MUTUAL"} or files is None or upstream.service.mesh_external:
        return tls
    return with_files(files, tls.sni, tls.subject_alt_names)


def _speaks_mutual_unasked(q: Asking, upstream: Upstream) -> bool:
    key = upstream.service.key
    if upstream.service.mesh_external or upstream.spoken.keyless or not q(auto_mutual, key.namespace):
        return False
    return upstream.settings.discovery != ORIGINAL_DST or q(all_mutual, key, upstream.port.name)


def _mutual(q: Asking, upstream: Upstream, tls: ClientTLSSettings) -> bytes:
    outlet, settings, key = upstream.outlet, upstream.settings, upstream.service.key
    accepted = tls.subject_alt_names or q(identities, key)
    if upstream.spoken.files is not None and not upstream.service.mesh_external:
        own = with_files(upstream.spoken.files, default_sni(outlet.port, outlet.subset, key.host))
        return _tls(originated(own, accepted, q(defaults).tls, http2=settings.http2))
    protocols = offered_protocols(istio=upstream.spoken.istio, http=settings.http, http2=settings.http2)
    server_name = tls.sni or default_sni(outlet.port, outlet.subset, key.host)
    return _tls(mutual(protocols, server_name, accepted))


def _tls(context: bytes) -> bytes:
    return _socket(_TLS, UpstreamTlsContext.DESCRIPTOR.full_name, context)


def _socket(name: str, type_name: str, config: bytes) -> bytes:
    typed = delimited(TransportSocket.TYPED_CONFIG_FIELD_NUMBER, packed_bytes(type_name, config))
    return delimited(TransportSocket.NAME_FIELD_NUMBER, name.encode()) + typed


def _only(socket: bytes, proxy: ProxyProtocol | None) -> bytes:
    return delimited(Cluster.TRANSPORT_SOCKET_FIELD_NUMBER, _behind(proxy, socket))


def _either(match: bytes, socket: bytes, proxy: ProxyProtocol | None) -> bytes:
    sockets = delimited(_Match.TRANSPORT_SOCKET_FIELD_NUMBER, _behind(proxy, socket))
    return delimited(Cluster.TRANSPORT_SOCKET_MATCHES_FIELD_NUMBER, match + sockets)


def _behind(proxy: ProxyProtocol | None, socket: bytes) -> bytes:
    """The socket, after the PROXY protocol if it is wanted."""
    return _socket(proxied.NAME, proxied.TYPE, proxied.proxy_protocol(proxy, socket)) if proxy else socket


def _match(name: str, **labels: str) -> bytes:
    match = _Match(name=name)
    match.match.update(labels)
    return serialised(match)


_IF_MUTUAL: Final = _match("tlsMode-istio", tlsMode=MUTUAL)
_ELSE: Final = _match("tlsMode-disabled")
