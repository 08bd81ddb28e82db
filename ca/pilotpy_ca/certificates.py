"""Certificates of authorities, and the few things that are asked of any certificate.

Source: security/pkg/pki/util/generate_cert.go of istio/istio; RFC 5280. Times are in UTC, whole seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from pilotpy_ca.keys import PrivateKey, PublicKey, accepted, key_id, signature_hash

SKEW: Final = timedelta(minutes=2)  # that a peer's clock may be behind
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)


def root_certificate(key: PrivateKey, organization: str, now: datetime, life: timedelta) -> x509.Certificate:
    """A self-signed root. Its common name has the key's id, so that no two roots of a mesh are called the same."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, f"root {key_id(key.public)}"),
        ]
    )
    now = whole_seconds(now)
    return _authority(key, subject, key, subject, (max(now - SKEW, _FIRST), now + life))


def renewed(root: x509.Certificate, key: PrivateKey, now: datetime, life: timedelta) -> x509.Certificate:
    """The same root, with a later end: what the key signed before still verifies, by the old root and by the new.

    It begins when the old one did, so that a clock that was set forward, and back again, leaves nothing that is
    not valid yet.
    """
    return _authority(key, root.subject, key, root.subject, (root.not_valid_before_utc, whole_seconds(now) + life))


def intermediate_certificate(
    key: PublicKey, name: str, issuer: tuple[x509.Certificate, PrivateKey], now: datetime, life: timedelta
) -> x509.Certificate:
    """The certificate of an authority below another one; it does not outlive its issuer."""
    certificate, signing = issuer
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = whole_seconds(now)
    validity = now - SKEW, min(now + life, certificate.not_valid_after_utc)
    return _authority(key, subject, signing, certificate.subject, validity)


def _authority(
    key: PrivateKey | PublicKey,
    subject: x509.Name,
    issuer: PrivateKey,
    issuer_name: x509.Name,
    validity: tuple[datetime, datetime],
) -> x509.Certificate:
    public = key.public if isinstance(key, PrivateKey) else key
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,  # istiod's roots cannot sign revocations
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public), critical=False)
        .sign(issuer.signing, signature_hash(issuer.public))
    )


def may_sign(certificate: x509.Certificate) -> bool:
    """Whether a certificate is an authority's."""
    extensions = certificate.extensions
    try:
        authority = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
    return authority and _usage(extensions, "key_cert_sign")


def may_revoke(certificate: x509.Certificate) -> bool:
    """Whether verifiers take a CRL that a certificate's key signed."""
    return _usage(certificate.extensions, "crl_sign")


def _usage(extensions: x509.Extensions, name: str) -> bool:
    try:
        return bool(getattr(extensions.get_extension_for_class(x509.KeyUsage).value, name))
    except x509.ExtensionNotFound:
        return True  # RFC 5280, 4.2.1.3: without the extension a key may be used for all


def organization_of(certificate: x509.Certificate) -> str:
    """The organization in a certificate's subject: for our roots, the trust domain. Empty if there is none."""
    names = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(names[0].value) if names else ""


def public_key(certificate: x509.Certificate) -> PublicKey:
    """The key of a certificate. Raises `KeyRefused` if it is of a kind that is not used here."""
    return accepted(certificate.public_key())


def readable(certificate: x509.Certificate) -> x509.Certificate:
    """The certificate, all of whose extensions can be read. Raises `ValueError`."""
    try:
        _ = certificate.extensions
    except x509.DuplicateExtension as error:
        raise ValueError(str(error)) from None
    return certificate


def fingerprint(certificate: x509.Certificate) -> str:
    """What tells one certificate from any other: the SHA-256 of its DER form, in hex digits."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def pem(certificate: x509.Certificate) -> bytes:
    """One PEM block, ending in a newline."""
    return certificate.public_bytes(Encoding.PEM)


def unique(certificates: Iterable[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """The certificates in their order, each one once."""
    return tuple({fingerprint(certificate): certificate for certificate in certificates}.values())


def whole_seconds(moment: datetime) -> datetime:
    """A moment as a certificate can hold it."""
    return moment.astimezone(UTC).replace(microsecond=0)
