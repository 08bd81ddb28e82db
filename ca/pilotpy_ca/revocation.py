"""Which certificates are revoked, and the CRLs that say so.

Verifiers that are given any CRL want one of every issuer that they meet (Envoy: `crl` of a validation context), so as
soon as anything is revoked each signer whose root is published gets a CRL. Source: RFC 5280, section 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pilotpy_ca.certificates import may_revoke, whole_seconds
from pilotpy_ca.keys import signature_hash
from pilotpy_ca.signer import Signer

SERIALS: Final = range(1, 1 << 159)  # RFC 5280, 4.1.2.2: positive, 20 octets with the sign


class Revoked(NamedTuple):
    """One certificate that nobody is to believe any more."""

    serial: int
    signer_id: str  # "": not known, so every signer says so
    at: datetime
    ends: datetime  # of the certificate: from then on it need not be named
    reason: str = ""  # for people


class Revocations(NamedTuple):
    """All of them, and the names that get no certificate until further notice. A value."""

    certificates: Mapping[int, Revoked] = {}
    banned: frozenset[str] = frozenset()
    number: int = 0  # of the CRLs: grows with every change
    names: Mapping[str, datetime] = {}  # all of whose certificates were revoked of late, and when

    def adding(self, revoked: Iterable[Revoked]) -> Revocations:
        """With more certificates."""
        more = {one.serial: one for one in revoked if one.serial not in self.certificates}
        return self._replace(certificates={**self.certificates, **more}, number=self.number + bool(more))

    def without(self, serial: int) -> Revocations:
        """As if a certificate had not been revoked."""
        rest = {number: one for number, one in self.certificates.items() if number != serial}
        return self._replace(certificates=rest, number=self.number + (len(rest) < len(self.certificates)))

    def banning(self, name: str, *, banned: bool = True) -> Revocations:
        """With a name that gets no more certificates, or gets them again."""
        return self._replace(banned=self.banned | {name} if banned else self.banned - {name})

    def naming(self, name: str, at: datetime) -> Revocations:
        """With a name all of whose certificates are revoked: also those that only another process knows of."""
        return self._replace(names={**self.names, name: at})

    def pruned(self, now: datetime) -> Revocations:
        """Without certificates that ended more than a day ago, so that clocks have no say in it; likewise names."""
        yesterday = now - timedelta(days=1)
        kept = {number: one for number, one in self.certificates.items() if one.ends > yesterday}
        names = {name: at for name, at in self.names.items() if at > yesterday}
        if len(kept) == len(self.certificates):
            return self if len(names) == len(self.names) else self._replace(names=names)
        return self._replace(certificates=kept, number=self.number + 1, names=names)


def crl(signer: Signer, revocations: Revocations, now: datetime) -> bytes | None:
    """One PEM block: what a signer revokes, maybe nothing. None: verifiers would not take it from this signer.

    It is good until the signer's end. An earlier end would stop all traffic once the authority was away for that
    long, and its use, to notice that no newer one came, is served better by the stream that delivers it.
    """
    if not may_revoke(signer.certificate):
        return None
    at = whole_seconds(now)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(max(at, signer.begins))
        .next_update(max(at, signer.begins, signer.ends - timedelta(seconds=1)) + timedelta(seconds=1))
        .add_extension(x509.CRLNumber(revocations.number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public), critical=False)
    )
    for one in sorted(revocations.certificates.values()):
        if one.signer_id in {"", signer.id}:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(one.at).build()
            )
    return builder.sign(signer.key.signing, signature_hash(signer.key.public)).public_bytes(Encoding.PEM)
