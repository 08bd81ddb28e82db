"""Private keys that do not show themselves, and which kinds of key are used at all.

Source of the kinds: security/pkg/pki/util/generate_csr.go of istio/istio (RSA of at least 2048 bits, P-256, P-384).
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Final, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from pilotpy_ca.errors import KeyRefused

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_RSA_BITS: Final = range(2048, 8193)  # above: a signature takes long enough to be an attack
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1)


class KeyType(StrEnum):
    """A kind of key that can be made."""

    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    P256 = "p256"
    P384 = "p384"


class PrivateKey:
    """A private key. Neither `repr`, nor an error, nor a copy of the process' objects shows it: only `pem` does."""

    __slots__ = ("_key", "public")

    def __init__(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public: PublicKey = accepted(key.public_key())

    @classmethod
    def new(cls, kind: KeyType) -> PrivateKey:
        """A fresh key."""
        match kind:
            case KeyType.P256:
                return cls(ec.generate_private_key(ec.SECP256R1()))
            case KeyType.P384:
                return cls(ec.generate_private_key(ec.SECP384R1()))
            case _:
                return cls(rsa.generate_private_key(65537, int(kind.removeprefix("rsa-"))))

    @classmethod
    def from_pem(cls, pem: bytes) -> PrivateKey:
        """The key in a PEM block without a passphrase. Raises `KeyRefused`, which does not repeat the text."""
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise KeyRefused("not a private key in PEM without a passphrase") from None
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise KeyRefused("neither an RSA nor an ECDSA key")
        return cls(key)

    def pem(self) -> bytes:
        """The key itself, PKCS #8, not encrypted: for the file of a store, mode 0600, and for nothing else."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def signing(self) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
        """What the builders of certificates sign with."""
        return self._key

    @property
    def kind(self) -> KeyType | None:
        """The kind, if it is one that is made here."""
        if isinstance(self.public, ec.EllipticCurvePublicKey):
            return KeyType.P256 if isinstance(self.public.curve, ec.SECP256R1) else KeyType.P384
        name = f"rsa-{self.public.key_size}"
        return next((kind for kind in KeyType if kind == name), None)

    def __repr__(self) -> str:
        return f"<PrivateKey {key_id(self.public)}, redacted>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is not copied")


def accepted(key: PublicKeyTypes) -> PublicKey:
    """The key, if it is of a kind that is used here. Raises `KeyRefused`."""
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in _RSA_BITS:
            raise KeyRefused(f"an RSA key of {key.key_size} bits; at least {_RSA_BITS.start} are needed")
        return key
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, _CURVES):
            raise KeyRefused(f"an ECDSA key on {key.curve.name}; P-256 and P-384 are known")
        return key
    raise KeyRefused("neither an RSA nor an ECDSA key")


def signature_hash(key: PublicKey) -> hashes.SHA256 | hashes.SHA384:
    """The hash that goes with a key, as Go's crypto/x509 chooses it."""
    p384 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP384R1)
    return hashes.SHA384() if p384 else hashes.SHA256()


def key_id(key: PublicKey) -> str:
    """What a key is called in journals, logs and metrics: 16 hex digits of the SHA-256 of its public half."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()[:16]
