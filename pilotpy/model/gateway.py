"""Gateway: what a load balancer at the edge of the mesh listens on.

Source: istio/api networking/v1alpha3/gateway.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pilotpy.model.message import Message, UInt32

ServerTLSMode = Literal["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"]
TLSProtocol = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]


class Gateway(Message, frozen=True):
    """Servers on the workloads that it selects."""

    servers: tuple[Server, ...] = ()
    selector: Mapping[str, str] = {}  # labels of the gateway workloads


class Server(Message, frozen=True):
    """One port, its hosts and its TLS."""

    port: Port | None = None  # required
    bind: str = ""
    hosts: tuple[str, ...] = ()  # required
    tls: ServerTLSSettings | None = None
    default_endpoint: str = ""
    name: str = ""


class Port(Message, frozen=True):
    """A port that a gateway listens on."""

    number: UInt32 = 0  # required
    protocol: str = ""  # required
    name: str = ""  # required
    target_port: UInt32 = 0  # deprecated


class ServerTLSSettings(Message, frozen=True):
    """How connections to the gateway are secured."""

    https_redirect: bool = False
    mode: ServerTLSMode = "PASSTHROUGH"
    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_name: str = ""
    credential_names: tuple[str, ...] = ()
    ca_cert_credential_name: str = ""
    tls_certificates: tuple[TLSCertificate, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
    verify_certificate_spki: tuple[str, ...] = ()
    verify_certificate_hash: tuple[str, ...] = ()
    min_protocol_version: TLSProtocol = "TLS_AUTO"
    max_protocol_version: TLSProtocol = "TLS_AUTO"
    cipher_suites: tuple[str, ...] = ()
    insecure_skip_verify: bool | None = None


class TLSCertificate(Message, frozen=True):
    """A certificate and its key in files."""

    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
