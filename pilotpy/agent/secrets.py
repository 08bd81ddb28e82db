"""From what a workload holds, and from files, to the secrets that its Envoy asks for by name.

``default`` is its own certificate with the key, ``ROOTCA`` what peers are judged by; ``file-cert:CHAIN~KEY`` and
``file-root:FILE`` are files that a DestinationRule or Gateway names.

Source  Envoy ``extensions/transport_sockets/tls/v3/secret.proto``; istio/istio ``security/pkg/nodeagent/cache``,
        ``pkg/security/security.go`` (names).
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from pilotpy.agent.held import Held
from pilotpy_protos.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

OWN: Final = "default"
ROOTS: Final = "ROOTCA"
FILES: Final = "file-"
_FILE_CERTIFICATE: Final = "file-cert:"
_FILE_ROOTS: Final = "file-root:"
_SYSTEM: Final = "system"

Read = Callable[[str], bytes | None]


class Sealed(msgspec.Struct, frozen=True):
    """A secret on its way to Envoy; shows its version only."""

    name: str
    version: str
    body: bytes  # of a Secret

    def __repr__(self) -> str:
        return f"<secret {self.name} {self.version}>"


def secret(name: str, held: Held, read: Read) -> Sealed | None:
    """The secret of a name; None while there is none. ``read`` gives a file's bytes."""
    if name == OWN and held.certificate is not None:
        return _certificate(name, held.certificate.chain, held.certificate.key.pem())
    if name == ROOTS and held.certificate is not None:
        return _roots(name, held.roots, held.revoked)
    if name.startswith(_FILE_CERTIFICATE):
        chain, _, key = name.removeprefix(_FILE_CERTIFICATE).partition("~")
        certificate, private = read(chain), read(key)
        return _certificate(name, certificate, private) if certificate and private else None
    if name.startswith(_FILE_ROOTS):
        file = name.removeprefix(_FILE_ROOTS)
        roots = read(ssl.get_default_verify_paths().openssl_cafile if file == _SYSTEM else file)
        return _roots(name, roots, b"") if roots else None
    return None


def file_bytes(path: str) -> bytes | None:
    """What is in a file; None where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def _certificate(name: str, chain: bytes, key: bytes) -> Sealed:
    made = Secret(name=name)
    made.tls_certificate.certificate_chain.inline_bytes = chain
    made.tls_certificate.private_key.inline_bytes = key
    return _sealed(made)


def _roots(name: str, roots: bytes, revoked: bytes) -> Sealed:
    made = Secret(name=name)
    made.validation_context.trusted_ca.inline_bytes = roots
    if revoked:
        made.validation_context.crl.inline_bytes = revoked
    return _sealed(made)


def _sealed(made: Secret) -> Sealed:
    body = made.SerializeToString(deterministic=True)
    return Sealed(made.name, hashlib.sha256(body).hexdigest()[:16], body)
