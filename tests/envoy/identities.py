"""Identities for real Envoys: an authority, and an agent that hands its certificates out over SDS."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pilotpy_protos.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse

_SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


class Authority:
    """Signs what it is asked to."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "mesh")])
        root = _certificate(self._name, self._key).issuer_name(self._name)
        root = root.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.root = root.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issued(self, identity: str) -> tuple[bytes, bytes]:
        """A certificate for a SPIFFE identity, and its key; both in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
        leaf = _certificate(x509.Name([]), key).issuer_name(self._name).add_extension(name, critical=True)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return leaf.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), secret


def _certificate(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - timedelta(minutes=2)).not_valid_after(now + timedelta(hours=1))


@contextmanager
def agent(folder: Path, authority: Authority, identity: str) -> Iterator[Path]:
    """An agent that serves the secrets of a workload, until the end of the block; yields the path of its socket."""
    chain, key = authority.issued(identity)
    own, roots = Secret(name="default"), Secret(name="ROOTCA")
    own.tls_certificate.certificate_chain.inline_bytes = chain
    own.tls_certificate.private_key.inline_bytes = key
    roots.validation_context.trusted_ca.inline_bytes = authority.root
    secrets = {one.name: one for one in (own, roots)}

    def stream(requests, _context):
        for request in requests:
            if not request.version_info:  # else it says that it has taken them
                response = DiscoveryResponse(version_info="1", nonce="1", type_url=_SECRET)
                for name in request.resource_names:
                    response.resources.add().Pack(secrets[name])
                yield response

    method = grpc.stream_stream_rpc_method_handler(
        stream,
        request_deserializer=DiscoveryRequest.FromString,
        response_serializer=DiscoveryResponse.SerializeToString,
    )
    service = "envoy.service.secret.v3.SecretDiscoveryService"
    socket = folder / f"{identity.rpartition('/')[2]}.sock"
    with ThreadPoolExecutor(8) as threads:
        server = grpc.server(threads)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"StreamSecrets": method})])
        server.add_insecure_port(f"unix:{socket}")
        server.start()
        try:
            yield socket
        finally:
            server.stop(0).wait()
