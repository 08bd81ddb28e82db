"""The authority: from a signing request and the names of whoever sent it to a certificate chain.

Holds what signs now as one value that is swapped whole (`adopt`); the keeper decides when. Reads no clock, touches no
file, and knows neither gRPC nor tokens. Source: security/pkg/pki/ca/ca.go of istio/istio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography import x509

from pilotpy_ca.certificates import SKEW, fingerprint, pem, unique, whole_seconds
from pilotpy_ca.csr import signing_request
from pilotpy_ca.errors import Banned, GenerationError, NotReady, TtlError
from pilotpy_ca.keys import KeyType, PrivateKey, PublicKey
from pilotpy_ca.leaf import LeafForm
from pilotpy_ca.ledger import Issued, Ledger
from pilotpy_ca.revocation import Revocations, crl
from pilotpy_ca.signer import Signer
from pilotpy_ca.slots import Slots
from pilotpy_ca.terms import Terms


class Chain(NamedTuple):
    """A certificate as CreateCertificate hands it out."""

    elements: tuple[str, ...]  # PEM: the leaf, each intermediate; last the whole root bundle in one
    serial: int
    ends: datetime

    @property
    def certificates(self) -> bytes:
        """The leaf and its intermediates in one: what a server or client presents."""
        return "".join(self.elements[:-1]).encode()


class ServerIdentity(NamedTuple):
    """A certificate of the control plane's own, with its key."""

    chain: Chain
    key: PrivateKey


class _Order(NamedTuple):
    key: PublicKey
    names: tuple[str, ...]
    life: timedelta
    holder: str | None  # None: not for the ledger, for it is replaced in the moment that signer or roots change
    with_subject: bool


class Authority:
    """Signs for whom it is told to. One event loop or thread at a time."""

    def __init__(self, slots: Slots, terms: Terms, ledger: Ledger | None = None) -> None:
        self.terms = terms
        self.ledger = ledger if ledger is not None else Ledger()
        self.revocations = Revocations()
        self.version = 0  # grows whenever roots, signer or CRL may have changed
        self.record: Callable[[Issued], None] = self.ledger.add  # what is told of each certificate, before it is out
        self._extra: tuple[x509.Certificate, ...] = ()
        self._given_crl = b""
        self._heard: list[Callable[[], None]] = []
        self._crl: tuple[tuple[int, int], bytes] = (-1, -1), b""
        self.adopt(slots)

    def issue(
        self, csr_pem: bytes, identities: Sequence[str], ttl: timedelta | None, now: datetime, holder: str = ""
    ) -> Chain:
        """A certificate for the identities, which the caller has proved to have, whatever the request says.

        `ttl` None or not positive: the default. `holder` is the proxy, as `<pod>.<namespace>`, where it is known.
        Raises `CsrError`, `TtlError` (too long is refused, not cut), `Banned`, `NotReady`, `GenerationError`.
        """
        request = signing_request(csr_pem)
        if ttl is None or ttl <= timedelta(0):
            ttl = self.terms.default_life
        elif ttl > self.terms.longest_life:
            raise TtlError(f"{ttl} was asked for; at most {self.terms.longest_life} is given")
        if not identities:
            raise GenerationError("a certificate for nobody")
        self.check_bans(identities)
        return self._chain(_Order(request.key, tuple(identities), ttl, holder, request.names_subject), now)

    def check_bans(self, identities: Iterable[str]) -> None:
        """Raises `Banned` for identities that get no certificate until further notice, whoever would sign it."""
        if banned := self.revocations.banned.intersection(identities):
            raise Banned(f"{', '.join(sorted(banned))} gets no certificate until the ban is lifted")

    def issue_server(self, dns_names: Sequence[str], now: datetime, key_type: KeyType | None = None) -> ServerIdentity:
        """A new key and a certificate for a server of the control plane; names are sorted. Errors as `issue`.

        The key is on P-256 unless told otherwise, whatever the signer is: handshakes are most of what a server signs.
        """
        key = PrivateKey.new(key_type or KeyType.P256)
        names = tuple(sorted(set(dns_names)))
        if not names:
            raise GenerationError("a certificate for nobody")
        order = _Order(key.public, names, self.terms.server_life, None, with_subject=False)
        return ServerIdentity(self._chain(order, now), key)

    @property
    def roots(self) -> tuple[bytes, ...]:
        """What verifiers are to trust, one PEM block each: the active signer's roots first. Never empty."""
        return self._roots

    @property
    def root_fingerprints(self) -> frozenset[str]:
        """The same, by the SHA-256 of each."""
        return self._prints

    def crl(self, now: datetime) -> bytes:
        """All CRLs in one PEM text; empty as long as nothing is revoked and none was given with plugged-in files."""
        if not self.revocations.certificates:
            return self._given_crl
        key = self.version, self.revocations.number
        if self._crl[0] != key:
            made = (crl(slot.signer, self.revocations, now) for slot in self.slots.all)
            self._crl = key, self._given_crl + b"".join(one for one in made if one)
        return self._crl[1]

    def adopt(
        self,
        slots: Slots,
        revocations: Revocations | None = None,
        *,
        extra_roots: Sequence[x509.Certificate] | None = None,
        given_crl: bytes | None = None,
    ) -> None:
        """Go on with other slots, and tell whoever listens. What is not given stays as it is."""
        if extra_roots is not None:
            self._extra = tuple(extra_roots)
        if given_crl is not None:
            self._given_crl = given_crl
        if revocations is not None:
            self.revocations = revocations
        self.slots = slots
        roots = unique((*slots.roots, *self._extra))
        self._roots = tuple(pem(root) for root in roots)
        self._prints = frozenset(fingerprint(root) for root in roots)
        self._bundle = b"".join(self._roots).decode()
        self._intermediates = tuple(pem(above).decode() for above in slots.active.signer.intermediates)
        self._form = LeafForm(slots.active.signer)
        self.version += 1
        for heard in tuple(self._heard):
            heard()

    def on_change(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Call something after every `adopt`; returns what ends that."""
        self._heard.append(heard)
        return lambda: self._heard.remove(heard)

    def disowned(self, certificate: x509.Certificate) -> str:
        """Why a leaf proves nothing though a published root vouches for it; empty if it does prove something."""
        if certificate.serial_number in self.revocations.certificates:
            return f"certificate {certificate.serial_number:x} is revoked"
        for slot in self.slots.all:
            if slot.tainted and _signed_by(certificate, slot.signer):
                return f"certificate {certificate.serial_number:x} was signed by {slot.signer.id}, which is tainted"
        return ""

    def _chain(self, order: _Order, now: datetime) -> Chain:
        signer = self.slots.active.signer
        at = whole_seconds(now)
        if at >= signer.ends:
            raise NotReady(f"signer {signer.id} ended at {signer.ends:%Y-%m-%d %H:%M:%S}")
        if at < signer.begins:
            raise NotReady(f"signer {signer.id} is not valid before {signer.begins:%Y-%m-%d %H:%M:%S}")
        ends = min(at + order.life, signer.ends)
        leaf = self._form.certificate(order.key, order.names, (at - SKEW, ends), with_subject=order.with_subject)
        serial = leaf.serial_number
        if order.holder is not None:
            self.record(Issued(serial, signer.id, order.names, order.holder, at, ends, self._prints))
        return Chain((pem(leaf).decode(), *self._intermediates, self._bundle), serial, ends)


def _signed_by(certificate: x509.Certificate, signer: Signer) -> bool:
    try:
        key = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return certificate.issuer == signer.certificate.subject
    return key == x509.SubjectKeyIdentifier.from_public_key(signer.key.public).digest
