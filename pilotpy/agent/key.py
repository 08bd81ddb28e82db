"""A workload's private key, and the request for a certificate that it signs.

The key is in memory only and shows itself to nobody who merely prints it.

Source  istio/istio ``security/pkg/pki/util/generate_csr.go``; RFC 2986; SPIFFE X.509-SVID.
"""

from __future__ import annotations

from enum import Enum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

_EXPONENT = 65537


class KeyType(Enum):
    """An algorithm and a size; the value is what people call it."""

    RSA_2048 = "RSA-2048"
    RSA_3072 = "RSA-3072"
    RSA_4096 = "RSA-4096"
    P256 = "P256"
    P384 = "P384"


class Key:
    """A private key."""

    __slots__ = ("_key", "type")

    def __init__(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, type_: KeyType) -> None:
        self._key = key
        self.type = type_

    @classmethod
    def new(cls, type_: KeyType) -> Key:
        """A fresh one. An RSA key takes a tenth of a second and more."""
        if type_ is KeyType.P256:
            return cls(ec.generate_private_key(ec.SECP256R1()), type_)
        if type_ is KeyType.P384:
            return cls(ec.generate_private_key(ec.SECP384R1()), type_)
        return cls(rsa.generate_private_key(_EXPONENT, int(type_.value.removeprefix("RSA-"))), type_)

    def request(self, identity: str) -> bytes:
        """A certificate request, as PEM, for a SPIFFE ID; the subject is empty."""
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
        asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=True)
        return asked.sign(self._key, SHA256()).public_bytes(Encoding.PEM)

    def fits(self, certificate: x509.Certificate) -> bool:
        """Whether a certificate is for this key."""
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return certificate.public_key().public_bytes(*form) == self._key.public_key().public_bytes(*form)

    def pem(self) -> bytes:
        """The secret itself, as PKCS #8: for Envoy's ears only."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def __repr__(self) -> str:
        return f"<{self.type.value} key>"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not for copies")
