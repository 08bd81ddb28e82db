"""Leaves: certificates of workloads, and of the servers of the control plane.

Source: security/pkg/pki/util/generate_cert.go and san.go of istio/istio; the X.509-SVID standard.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pilotpy_ca.certificates import public_key
from pilotpy_ca.errors import GenerationError
from pilotpy_ca.keys import PublicKey, signature_hash
from pilotpy_ca.signer import Signer

_LONGEST_CN: Final = 64  # RFC 5280, appendix A.1: ub-common-name
_USAGE: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=True,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
_PURPOSES: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
_NO_AUTHORITY: Final = x509.BasicConstraints(ca=False, path_length=None)
_NOBODY: Final = x509.Name([])


class LeafForm:
    """All of a signer's leaves that does not differ from one to the next."""

    def __init__(self, signer: Signer) -> None:
        self._key = signer.key.signing
        self._hash = signature_hash(signer.key.public)
        self._common = (
            x509.CertificateBuilder()
            .issuer_name(signer.certificate.subject)
            .add_extension(_USAGE, critical=True)
            .add_extension(_PURPOSES, critical=False)
            .add_extension(_NO_AUTHORITY, critical=True)
            .add_extension(_authority_key(signer.certificate), critical=False)
        )

    def certificate(
        self, key: PublicKey, names: Sequence[str], validity: tuple[datetime, datetime], *, with_subject: bool
    ) -> x509.Certificate:
        """A leaf for the names, the first of which is its subject if it is to have one and it is short enough.

        Raises `GenerationError`.
        """
        subject = _NOBODY
        if with_subject and len(names[0]) <= _LONGEST_CN:
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        try:
            return (
                self._common.subject_name(subject)
                .public_key(key)
                .serial_number(x509.random_serial_number())
                .not_valid_before(validity[0])
                .not_valid_after(validity[1])
                # RFC 5280, 4.2.1.6: critical where the subject is empty; Istio has it so in any case.
                .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=True)
                .sign(self._key, self._hash)
            )
        except (ValueError, TypeError) as error:
            raise GenerationError(f"no certificate for {', '.join(names)[:300]}: {error}") from error


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """All SANs of a certificate that are URIs, DNS names or addresses, as text in their order. May be empty."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    kinds = (x509.UniformResourceIdentifier, x509.DNSName, x509.IPAddress)
    return tuple(str(name.value) for name in names if isinstance(name, kinds))


def _general_name(name: str) -> x509.GeneralName:
    if name.startswith("spiffe://"):
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        key = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key(issuer))
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key)
