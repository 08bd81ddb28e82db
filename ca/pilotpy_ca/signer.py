"""A signer: a key, its certificate, the authorities above it, and the roots that verifiers are to trust with it."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from pilotpy_ca.certificates import fingerprint, may_sign, public_key, unique
from pilotpy_ca.errors import BundleError
from pilotpy_ca.keys import PrivateKey, key_id

_LONGEST: Final = 8  # authorities in a chain


class Signer:
    """Signs leaves. Immutable; whoever holds one may use it from any thread.

    Raises `BundleError` if its parts do not fit together: the key is another certificate's, the certificate is no
    authority's, or `above` does not lead from it to one of `roots`. Validity in time is not looked at here.
    """

    def __init__(
        self,
        key: PrivateKey,
        certificate: x509.Certificate,
        above: tuple[x509.Certificate, ...] = (),
        roots: tuple[x509.Certificate, ...] = (),
    ) -> None:
        self.key = key
        self.certificate = certificate
        self.roots = unique(roots) or (certificate,)
        if public_key(certificate) != key.public:
            raise BundleError("the key is not the one of the signing certificate")
        for root in self.roots:
            if not may_sign(root):
                raise BundleError(f"the root {root.subject.rfc4514_string()} is not an authority's certificate")
        self.intermediates, self.anchor = _path(certificate, above, self.roots)

    @cached_property
    def id(self) -> str:
        """What the signer is called: the id of its key, so a renewed certificate does not make another signer."""
        return key_id(self.key.public)

    @cached_property
    def self_signed(self) -> bool:
        """Whether the signer is the root itself."""
        return not self.intermediates

    @cached_property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """What ends with this signer, from its own certificate to the root that vouches for it."""
        return (*self.intermediates, self.anchor)

    @cached_property
    def begins(self) -> datetime:
        """From when on the whole chain is valid."""
        return max(certificate.not_valid_before_utc for certificate in self.chain)

    @cached_property
    def ends(self) -> datetime:
        """Until when the whole chain is valid: nothing that it signs lives longer."""
        return min(certificate.not_valid_after_utc for certificate in self.chain)

    def __repr__(self) -> str:
        return f"<Signer {self.id} until {self.ends:%Y-%m-%d}>"


def chain_of(
    leaf: x509.Certificate, above: tuple[x509.Certificate, ...], roots: tuple[x509.Certificate, ...]
) -> tuple[x509.Certificate, ...]:
    """A leaf and the authorities that lead from it to one of the roots, without that root. Raises `BundleError`."""
    if _issuer(leaf, roots) is not None:
        return (leaf,)
    issuer = _issuer(leaf, above)
    if issuer is None:
        raise BundleError(f"nothing leads from {leaf.subject.rfc4514_string() or 'the leaf'} to a root")
    return leaf, *_path(issuer, above, roots)[0]


def _path(
    certificate: x509.Certificate, above: tuple[x509.Certificate, ...], roots: tuple[x509.Certificate, ...]
) -> tuple[tuple[x509.Certificate, ...], x509.Certificate]:
    """The certificates from the signer's own up to below a root (none if it is the root), and that root."""
    prints = {fingerprint(root) for root in roots}
    path: list[x509.Certificate] = []
    here = certificate
    while len(path) < _LONGEST:
        if not may_sign(here):
            raise BundleError(f"{here.subject.rfc4514_string()} is not an authority's certificate")
        if fingerprint(here) in prints:
            return tuple(path), here
        path.append(here)
        if (root := _issuer(here, roots)) is not None:
            return tuple(path), root
        issuer = _issuer(here, tuple(other for other in above if other not in path))
        if issuer is None:
            raise BundleError(f"nothing leads from {here.subject.rfc4514_string()} to a root")
        here = issuer
    raise BundleError(f"the chain is longer than {_LONGEST} certificates")


def _issuer(certificate: x509.Certificate, among: tuple[x509.Certificate, ...]) -> x509.Certificate | None:
    """Who signed a certificate; of several certificates of that key, the one that lasts longest."""
    found = [other for other in among if _issued(certificate, other)]
    return max(found, key=lambda issuer: issuer.not_valid_after_utc, default=None)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
