"""Which versions, ciphers and curves of TLS are spoken: the limits of MeshConfig.

Source: istiod's ``applyTLSDefaults`` and ``BuildInboundTLS``; Istio's ``mesh/v1alpha1/config.proto``, TLSConfig.
"""

from __future__ import annotations

from collections.abc import Iterable

from pilotpy.model.mesh_config import TLSConfig
from pilotpy.schema.validation.mesh_config import CURVES
from pilotpy.schema.validation.tls import CIPHER_SUITES
from pilotpy_protos.envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsParameters

_NO_LIMITS = TLSConfig()


def tls_parameters(limits: TLSConfig | None = None, ciphers: Iterable[str] = ()) -> TlsParameters:
    """TLS 1.2 and 1.3, or 1.3 alone; with `ciphers` unless the limits name some.

    What Envoy does not know is left out: it would refuse everything else with it.
    """
    limits = limits or _NO_LIMITS
    version = TlsParameters.TlsProtocol
    return TlsParameters(
        tls_minimum_protocol_version=version.TLSv1_3 if limits.min_protocol_version == "TLSV1_3" else version.TLSv1_2,
        tls_maximum_protocol_version=version.TLSv1_3,
        cipher_suites=[suite for suite in dict.fromkeys(limits.cipher_suites) if suite in CIPHER_SUITES] or ciphers,
        ecdh_curves=[curve for curve in dict.fromkeys(limits.ecdh_curves) if curve in CURVES],
    )
