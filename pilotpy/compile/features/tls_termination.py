"""Mutual TLS at the server: which clients a workload's proxy takes, and what it offers them.

Source: Envoy's ``transport_sockets/tls/v3``; istiod's ``pilot/pkg/security/authn/utils``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pilotpy.compile.features.tls_parameters import tls_parameters
from pilotpy.compile.pieces import flag
from pilotpy.compile.sds import OWN_CERTIFICATE, OWN_ROOTS, file_pair, file_roots, of_agent
from pilotpy.compile.wire import packed
from pilotpy.mesh.view import KeyFiles
from pilotpy.model.mesh_config import TLSConfig
from pilotpy_protos.envoy.config.core.v3.base_pb2 import TransportSocket
from pilotpy_protos.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext
from pilotpy_protos.envoy.type.matcher.v3.string_pb2 import StringMatcher

_OFFERED: Final = {True: ("h2", "http/1.1"), False: ("istio-peer-exchange", "h2", "http/1.1")}
"""By whether the chain is HTTP. Never "istio": chains ask whether clients offer it, they do not speak it."""

_CIPHERS: Final = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
)


def termination(
    trust_domains: Iterable[str], limits: TLSConfig | None, files: KeyFiles | None, *, http: bool
) -> TransportSocket:
    """Take clients with an identity of one of the trust domains; the limits are those of ``meshMTLS``.

    ``files`` has the proxy's certificate; None: its agent has.
    """
    context = DownstreamTlsContext(require_client_certificate=flag(True))
    common = context.common_tls_context
    common.tls_params.CopyFrom(tls_parameters(limits, _CIPHERS))
    common.alpn_protocols.extend(_OFFERED[http])
    own = file_pair(files.chain, files.key) if files else of_agent(OWN_CERTIFICATE)
    common.tls_certificate_sds_secret_configs.append(own)
    combined = common.combined_validation_context
    roots = file_roots(files.roots) if files and files.roots else of_agent(OWN_ROOTS)
    combined.validation_context_sds_secret_config.CopyFrom(roots)
    # Without the slash "spiffe://mesh" would let "spiffe://mesh-of-others" in.
    accepted = (StringMatcher(prefix=f"spiffe://{domain}/") for domain in trust_domains)
    combined.default_validation_context.match_subject_alt_names.extend(accepted)
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))
