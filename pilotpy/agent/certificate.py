"""From what a certificate authority answered to a certificate that may be shown to peers, or the reason why not.

Pure. An authority's answer is a list of PEM: the leaf, each intermediate, and last, as one element, all roots.

Source  istio/istio ``security/pkg/nodeagent/cache/secretcache.go``; RFC 5280; SPIFFE X.509-SVID.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from pilotpy.agent.key import Key


class BadChain(Exception):
    """An authority's answer is of no use; says why."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What a workload proves who it is with."""

    identity: str  # its SPIFFE ID
    chain: bytes  # PEM, leaf first, roots last
    roots: bytes  # PEM, those that the authority named with it
    key: Key
    received: datetime
    not_after: datetime
    serial: int

    def renewal(self, ratio: float) -> datetime:
        """When to ask for the next, if that is to be while ``ratio`` (0 to 1) of the life is still left."""
        return self.not_after - (self.not_after - self.received) * ratio

    def life(self, now: datetime) -> timedelta:
        """How long it is still valid; negative once it is not."""
        return self.not_after - now


def certificate(elements: Sequence[str], key: Key, now: datetime) -> Certificate:
    """The certificate in an authority's answer. Raises BadChain for any that peers or Envoy would refuse."""
    if len(elements) < 2:
        raise BadChain(f"a chain and roots were expected, not {len(elements)} elements")
    try:
        issued = [x509.load_pem_x509_certificate(element.encode()) for element in elements[:-1]]
        roots = x509.load_pem_x509_certificates(elements[-1].encode())
        identities = _identities(issued[0])
    except (ValueError, TypeError) as unreadable:
        raise BadChain(f"a certificate cannot be read: {unreadable}") from unreadable
    leaf = issued[0]
    if not key.fits(leaf):
        raise BadChain("the certificate is for another key")
    if len(identities) != 1:
        raise BadChain(f"the certificate is for {len(identities)} SPIFFE IDs, not for one")
    if leaf.not_valid_after_utc <= now:
        raise BadChain(f"the certificate ended at {leaf.not_valid_after_utc.isoformat()}")
    for below, above in pairwise(issued):
        if not _issued_by(below, above):
            raise BadChain("the chain's parts did not issue each other")
    if not any(_issued_by(issued[-1], root) or issued[-1] == root for root in roots):
        raise BadChain("none of the roots issued the chain")
    return Certificate(
        identity=identities[0],
        chain="".join(map(_ended, elements)).encode(),
        roots=_ended(elements[-1]).encode(),
        key=key,
        received=now,
        not_after=leaf.not_valid_after_utc,
        serial=leaf.serial_number,
    )


def _identities(leaf: x509.Certificate) -> list[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [uri for uri in names.get_values_for_type(x509.UniformResourceIdentifier) if uri.startswith("spiffe://")]


def _issued_by(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _ended(pem: str) -> str:
    return pem if pem.endswith("\n") else f"{pem}\n"
