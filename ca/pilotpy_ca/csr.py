"""From the bytes of a PEM certificate signing request to what is taken from it: a key, and whether it names a CN.

Everything else that a request says (subject, SANs, extensions, CA:TRUE) is ignored: who the caller is does not
depend on what the caller wrote. Source: security/pkg/pki/ca/ca.go of istio/istio; RFC 2986.
"""

from __future__ import annotations

import base64
import re
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from pilotpy_ca.errors import CsrError, KeyRefused
from pilotpy_ca.keys import PrivateKey, PublicKey, accepted, signature_hash

MAX_BYTES: Final = 16 << 10  # a request for an RSA key of 8192 bits with a few extensions takes 3 KiB
_BLOCK: Final = re.compile(
    rb"\s*-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----\r?\n([A-Za-z0-9+/=\r\n]+)"
    rb"-----END (?:NEW )?CERTIFICATE REQUEST-----\s*"
)


class SigningRequest(NamedTuple):
    """What is taken from a request: it is signed by the private half of this key."""

    key: PublicKey
    names_subject: bool  # its subject has a common name


def signing_request(pem: bytes) -> SigningRequest:
    """What a request asks for. Raises `CsrError`, and nothing else, whatever the bytes are."""
    if len(pem) > MAX_BYTES:
        raise CsrError(f"a request of {len(pem)} bytes; {MAX_BYTES} are allowed")
    block = _BLOCK.fullmatch(pem)
    if block is None:
        raise CsrError("not exactly one PEM block CERTIFICATE REQUEST")
    try:
        csr = x509.load_der_x509_csr(base64.b64decode(block[1].translate(None, b"\r\n"), validate=True))
        key = accepted(csr.public_key())
        signed = csr.is_signature_valid
        names_subject = bool(csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
    except KeyRefused as refused:
        raise CsrError(str(refused)) from None
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion) as error:
        raise CsrError(f"not a certificate signing request: {error}") from None
    if not signed:
        raise CsrError("the signature is not by the key that the request holds")
    return SigningRequest(key, names_subject)


def new_request(key: PrivateKey) -> bytes:
    """A request for a key, in PEM; it names nobody: who asks is told otherwise."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key.signing, signature_hash(key.public)).public_bytes(Encoding.PEM)
