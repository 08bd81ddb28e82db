"""What a workload holds to prove itself and to judge others by, and who wants to hear when that changes.

Roots come with each certificate, and from the control plane between certificates (ProxyConfig); lists of revoked
certificates from a file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pilotpy.agent.certificate import Certificate


class Held(msgspec.Struct, frozen=True):
    """At one moment."""

    certificate: Certificate | None = None
    more_roots: tuple[str, ...] = ()  # PEM, besides those that came with the certificate
    revoked: bytes = b""  # lists as PEM; empty: none

    @property
    def roots(self) -> bytes:
        """All roots as PEM, each once; those of the certificate first. Empty before the first certificate."""
        if self.certificate is None:
            return b""
        own = x509.load_pem_x509_certificates(self.certificate.roots)
        more = [root for text in sorted(self.more_roots) for root in x509.load_pem_x509_certificates(text.encode())]
        return b"".join(root.public_bytes(Encoding.PEM) for root in dict.fromkeys([*own, *more]))


class Holding:
    """The present ``Held`` of one workload. Belongs to an event loop."""

    def __init__(self) -> None:
        self.now = Held()
        self._watchers = set[asyncio.Event]()

    def take(self, certificate: Certificate) -> None:
        """Replace the certificate."""
        self._become(msgspec.structs.replace(self.now, certificate=certificate))

    def trust(self, roots: tuple[str, ...]) -> None:
        """Replace the further roots. Raises ValueError, having changed nothing, if one is no certificate."""
        for text in roots:
            x509.load_pem_x509_certificates(text.encode())
        self._become(msgspec.structs.replace(self.now, more_roots=roots))

    def refuse(self, revoked: bytes) -> None:
        """Replace the lists of revoked certificates. Raises ValueError, having changed nothing, for no lists."""
        if revoked == self.now.revoked:
            return
        begin = b"-----BEGIN X509 CRL-----"
        blocks = [begin + rest for rest in revoked.split(begin)[1:]]
        if revoked.strip() and not blocks:
            raise ValueError("no list of revoked certificates in PEM")
        for block in blocks:
            x509.load_pem_x509_crl(block)
        self._become(msgspec.structs.replace(self.now, revoked=revoked if blocks else b""))

    @contextmanager
    def watched(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever something changed; the watcher clears it."""
        event = asyncio.Event()
        self._watchers.add(event)
        try:
            yield event
        finally:
            self._watchers.discard(event)

    def notify(self) -> None:
        """Have all watchers look again."""
        for event in self._watchers:
            event.set()

    def _become(self, held: Held) -> None:
        if held != self.now:
            self.now = held
            self.notify()
