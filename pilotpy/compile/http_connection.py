"""From what a filter chain is for to its manager of HTTP connections.

Source: istiod's core/listener_builder.go (buildHTTPConnectionManager) and core/proxyheaders.go.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pilotpy.compile.access_log import access_logs
from pilotpy.compile.guard import Stages
from pilotpy.compile.http_filters import Direction, Stream, http_filters
from pilotpy.compile.listener_settings import Settings, Terms, terms
from pilotpy.compile.naming import STAT_END
from pilotpy.compile.pieces import ads, flag, preserved_case
from pilotpy.compile.tracing import tracing_config
from pilotpy.compile.wire import packed, serialised
from pilotpy.engine import Asking, query
from pilotpy.mesh.view import Features, Listening
from pilotpy.model.mesh_proxy_config import ProxyHeaders
from pilotpy_protos.envoy.config.listener.v3.listener_components_pb2 import Filter
from pilotpy_protos.envoy.config.route.v3.route_pb2 import RouteConfiguration
from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    Rds,
)
from pilotpy_protos.envoy.extensions.request_id.uuid.v3.uuid_pb2 import UuidRequestIdConfig

HTTP_ALPN: Final = ("http/1.1", "h2c")


def plaintext_protocols(terms: Terms) -> tuple[str, ...]:
    """What the HTTP inspector finds in plaintext that is HTTP."""
    return ("http/1.0", *HTTP_ALPN) if terms.listening.http10 else HTTP_ALPN


@query
def outbound_manager(q: Asking, features: Features, listening: Listening) -> bytes:
    """What all managers of outbound HTTP have in common, in wire format."""
    return serialised(_manager(Direction.OUTBOUND, terms(q, features, listening)))


def routes_over_ads(name: str, listener: str, common: bytes) -> HttpConnectionManager:
    """The manager of outbound HTTP that asks for its routes by name; `common` is the answer of `outbound_manager`."""
    manager = HttpConnectionManager.FromString(common)
    manager.stat_prefix = f"outbound_{listener}{STAT_END}"
    manager.rds.CopyFrom(Rds(config_source=ads(), route_config_name=name))
    return manager


def inline_routes(
    routes: RouteConfiguration, stat_prefix: str, terms: Terms, *, grpc_web: bool = False
) -> HttpConnectionManager:
    """The manager of inbound HTTP, its routes with it."""
    manager = _manager(Direction.INBOUND, terms, grpc_web=grpc_web)
    manager.stat_prefix = stat_prefix + STAT_END
    manager.route_config.CopyFrom(routes)
    return manager


def as_filter(manager: HttpConnectionManager) -> Filter:
    """The network filter that runs the manager."""
    return Filter(name="envoy.filters.network.http_connection_manager", typed_config=packed(manager))


def _manager(direction: Direction, terms: Terms, *, grpc_web: bool = False) -> HttpConnectionManager:
    settings, listening, headers = terms.settings, terms.listening, terms.settings.headers
    exchange, debug = headers.metadata_exchange_headers, headers.envoy_debug_headers
    stream = Stream(
        direction,
        terms.istio,
        settings.metrics,
        grpc_web,
        in_mesh_only=exchange is not None and exchange.mode == "IN_MESH",
        debug_headers=not (debug is not None and debug.disabled),
        guard=terms.guard.http if direction is Direction.INBOUND else Stages(),
    )
    manager = HttpConnectionManager(
        http_filters=http_filters(stream),
        access_log=access_logs(settings.logging, istio=terms.istio),
        tracing=tracing_config(settings.tracing) if settings.tracing else None,
        stream_idle_timeout=timedelta(0),
        use_remote_address=flag(False),
        proxy_100_continue=True,
        upgrade_configs=[HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
    )
    request_ids = UuidRequestIdConfig(use_request_id_for_trace_sampling=flag(True))
    manager.request_id_extension.typed_config.CopyFrom(packed(request_ids))
    if listening.http10:
        manager.http_protocol_options.accept_http_10 = True
    if listening.idle_timeout:
        manager.common_http_protocol_options.idle_timeout.FromTimedelta(listening.idle_timeout)
    _normalize(manager, settings)
    _add_headers(manager, direction, headers)
    return manager


def _normalize(manager: HttpConnectionManager, settings: Settings) -> None:
    manager.normalize_path.value = settings.normalization != "NONE"
    manager.merge_slashes = settings.normalization in {"MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"}
    decodes = settings.normalization == "DECODE_AND_MERGE_SLASHES"
    action = HttpConnectionManager.PathWithEscapedSlashesAction
    manager.path_with_escaped_slashes_action = action.UNESCAPE_AND_FORWARD if decodes else action.KEEP_UNCHANGED


def _add_headers(manager: HttpConnectionManager, direction: Direction, headers: ProxyHeaders) -> None:
    """What the proxy adds to requests and responses of its own."""
    inbound = direction is Direction.INBOUND
    said = headers.forwarded_client_cert
    certificate = said if said != "UNDEFINED" else "APPEND_FORWARD" if inbound else "SANITIZE"
    manager.forward_client_cert_details = getattr(HttpConnectionManager, certificate)
    if certificate in {"APPEND_FORWARD", "SANITIZE_SET"}:
        _tell_certificate(manager, headers)
    if headers.server is not None and headers.server.disabled:
        manager.server_header_transformation = HttpConnectionManager.ServerHeaderTransformation.PASS_THROUGH
    else:
        named = headers.server.value if headers.server is not None else ""
        manager.server_name = named or ("istio-envoy" if inbound else "")
    if headers.request_id is not None and headers.request_id.disabled:
        manager.generate_request_id.value = False
    if headers.preserve_http1_header_case:
        manager.http_protocol_options.header_key_format.CopyFrom(preserved_case())
    if headers.x_forwarded_port is not None and headers.x_forwarded_port.enabled:
        manager.append_x_forwarded_port = True


def _tell_certificate(manager: HttpConnectionManager, headers: ProxyHeaders) -> None:
    asked = headers.set_current_client_cert_details
    details = manager.set_current_client_cert_details
    details.subject.value = asked is None or asked.subject is not False
    details.uri = asked is None or asked.uri is not False
    details.dns = asked is None or asked.dns is not False
    details.cert = asked is not None and bool(asked.cert)
    details.chain = asked is not None and bool(asked.chain)
