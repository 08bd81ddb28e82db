"""What an API server and its clients know each other by: one authority, certificates, a key that signs tokens."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = timedelta(days=1)
_LIFE = timedelta(days=90)
"""Longer than anybody leaves an API server up whose authority is gone with it."""


class Authority:
    """Issues certificates into a folder, each as <name>.crt and <name>.key; its own as ca.crt."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("pilotpy-lab")
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        own = _builder(self._name, self._name, self._key).add_extension(constraints, critical=True)
        own = own.add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        own = own.add_extension(self._identifier, critical=False)
        self.certificate = _written(folder / "ca.crt", own.sign(self._key, hashes.SHA256()))

    def issue(self, name: str, *groups: str, address: str = "") -> tuple[Path, Path]:
        """Certificate and key: of a server, if it has an address, or of a user and his groups."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if address else ExtendedKeyUsageOID.CLIENT_AUTH
        made = _builder(_name(name, *groups), self._name, key)
        made = made.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier)
        made = made.add_extension(authority, critical=False)
        if address:
            names = [x509.IPAddress(ipaddress.ip_address(address)), x509.DNSName("localhost")]
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        file = name.replace(":", "-")
        certificate = _written(self.folder / f"{file}.crt", made.sign(self._key, hashes.SHA256()))
        return certificate, written_key(self.folder / f"{file}.key", key)


def written_key(path: Path, key: ec.EllipticCurvePrivateKey | None = None) -> Path:
    """A private key, a new one unless given, in a file that is ours alone."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return path


def _name(name: str, *groups: str) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number(), now - _DAY, now + _LIFE
    )


def _written(path: Path, certificate: x509.Certificate) -> Path:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path
