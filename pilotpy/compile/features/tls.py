"""TLS towards servers: the contexts of Istio's mutual TLS, and of what a DestinationRule's ``tls`` asks for.

Source: Envoy's ``transport_sockets/tls/v3``; istiod's ``pilot/pkg/networking/core/cluster_tls.go``; Istio's
``destination_rule.proto``, message ClientTLSSettings.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final, TypeGuard

from pilotpy.compile.draft import Draft
from pilotpy.compile.features.tls_parameters import tls_parameters
from pilotpy.compile.sds import (
    OWN_CERTIFICATE,
    OWN_ROOTS,
    file_pair,
    file_roots,
    of_agent,
    of_credential,
    roots_of_credential,
)
from pilotpy.compile.wire import delimited, serialised
from pilotpy.mesh.view import KeyFiles
from pilotpy.model.destination_rule import ClientTLSSettings
from pilotpy.model.mesh_config import TLSConfig
from pilotpy_protos.envoy.extensions.transport_sockets.tls.v3.common_pb2 import CertificateValidationContext
from pilotpy_protos.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from pilotpy_protos.envoy.type.matcher.v3.string_pb2 import StringMatcher

H2: Final = "h2"

_PEERS: Final = ("istio-peer-exchange", "istio")
_WITHOUT_FILTER: Final = {"http": ("istio-http/1.1", "istio", "http/1.1"), "http2": ("istio-h2", "istio", H2)}

_Combined = CommonTlsContext.CombinedCertificateValidationContext


def offered_protocols(*, istio: bool, http: bool, http2: bool) -> tuple[str, ...]:
    """The protocols that a client offers in Istio's mutual TLS; by them the server chooses its filter chain.

    With Istio's ``istio.alpn`` filter each stream offers its own over these. Without it the port's declared protocol
    decides; where that is only found out by sniffing, the server takes what comes as TCP.
    """
    if istio or not (http or http2):
        return (*_PEERS, H2) if http2 else _PEERS
    return _WITHOUT_FILTER["http2" if http2 else "http"]


def mutual(protocols: tuple[str, ...], server_name: str, names: Iterable[str]) -> bytes:
    """The context of Istio's mutual TLS, in wire format; the server must show one of the names, if there are any.

    What clusters share is serialised once: a message may come in pieces.
    """
    matched = b"".join(
        delimited(
            CertificateValidationContext.MATCH_SUBJECT_ALT_NAMES_FIELD_NUMBER,
            delimited(StringMatcher.EXACT_FIELD_NUMBER, name.encode()),
        )
        for name in names
    )
    validation = delimited(_Combined.DEFAULT_VALIDATION_CONTEXT_FIELD_NUMBER, matched)
    common = delimited(CommonTlsContext.COMBINED_VALIDATION_CONTEXT_FIELD_NUMBER, validation)
    return (
        _mutual(protocols)
        + delimited(UpstreamTlsContext.COMMON_TLS_CONTEXT_FIELD_NUMBER, common)
        + delimited(UpstreamTlsContext.SNI_FIELD_NUMBER, server_name.encode())
    )


@cache
def _mutual(protocols: tuple[str, ...]) -> bytes:
    common = CommonTlsContext(
        tls_params=tls_parameters(),
        tls_certificate_sds_secret_configs=[of_agent(OWN_CERTIFICATE)],
        combined_validation_context=_Combined(validation_context_sds_secret_config=of_agent(OWN_ROOTS)),
        alpn_protocols=protocols,
    )
    return serialised(UpstreamTlsContext(common_tls_context=common))


def is_originated(tls: ClientTLSSettings | None) -> TypeGuard[ClientTLSSettings]:
    """Whether a rule asks for TLS with the server's own certificates, not the mesh's."""
    return tls is not None and tls.mode in {"SIMPLE", "MUTUAL"}


def with_files(files: KeyFiles, server_name: str, names: tuple[str, ...] = ()) -> ClientTLSSettings:
    """Mutual TLS with a certificate in the proxy's own files."""
    return ClientTLSSettings(
        mode="MUTUAL",
        client_certificate=files.chain,
        private_key=files.key,
        ca_certificates=files.roots,
        sni=server_name,
        subject_alt_names=names,
    )


def originated(tls: ClientTLSSettings, names: Iterable[str], limits: TLSConfig | None, *, http2: bool) -> bytes:
    """The context of TLS with mode SIMPLE or MUTUAL, in wire format; the server must show one of the names, if any."""
    context = UpstreamTlsContext(sni=tls.sni)
    common = context.common_tls_context
    common.tls_params.CopyFrom(tls_parameters(limits))
    if http2:
        common.alpn_protocols.append(H2)
    if tls.mode == "MUTUAL":
        own = (
            of_credential(tls.credential_name)
            if tls.credential_name
            else file_pair(tls.client_certificate, tls.private_key)
        )
        common.tls_certificate_sds_secret_configs.append(own)
    if not tls.insecure_skip_verify:
        roots = roots_of_credential(tls.credential_name) if tls.credential_name else file_roots(tls.ca_certificates)
        combined = common.combined_validation_context
        combined.validation_context_sds_secret_config.CopyFrom(roots)
        combined.default_validation_context.match_subject_alt_names.extend(StringMatcher(exact=name) for name in names)
        if tls.ca_crl:
            combined.default_validation_context.crl.filename = tls.ca_crl
    elif not tls.credential_name:
        common.validation_context.SetInParent()
    return serialised(context)


def automatic_names(draft: Draft) -> None:
    """Where TLS names no server, each request's host is the name that is asked for, and that must be shown."""
    tls = draft.policy.tls
    if not is_originated(tls) or tls.sni:
        return
    options = draft.http.upstream_http_protocol_options
    options.auto_sni = True
    options.auto_san_validation = not tls.subject_alt_names and not tls.insecure_skip_verify
