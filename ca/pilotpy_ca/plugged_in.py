"""A signer that somebody else made: the files of a Secret `cacerts` in a folder, read, checked, and followed.

Two forms: Istio's (`ca-cert.pem`, `ca-key.pem`, `root-cert.pem`, `cert-chain.pem`, maybe `ca-crl.pem`) and that of
cert-manager (`tls.crt`, `tls.key`, `ca.crt`), which is taken as soon as there is a `tls.crt`.
Source: pilot/pkg/bootstrap/istio_ca.go, security/pkg/pki/ca/ca.go of istio/istio.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cryptography import x509

from pilotpy_ca.certificates import fingerprint, readable
from pilotpy_ca.errors import BundleError, KeyRefused
from pilotpy_ca.keys import PrivateKey
from pilotpy_ca.signer import Signer

_ISTIO: Final = ("ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem")
_TLS: Final = ("tls.crt", "tls.key", "ca.crt")
_CRL: Final = "ca-crl.pem"
_LARGEST: Final = 1 << 20  # what a Secret can hold
_TRIES: Final = 3

Stamp = tuple[tuple[str, int, int, int], ...]


class PluggedIn(NamedTuple):
    """A complete set."""

    signer: Signer
    crl: bytes  # PEM; empty if none was given


class PluggedInSource(Protocol):
    """Where somebody puts such files. Polled, so that it may be anything."""

    name: str  # for people

    def present(self) -> bool:
        """Whether there is any of the files: from then on they must all be there."""
        ...

    def load(self, now: datetime) -> PluggedIn:
        """The set as it is now. Raises `BundleError`, which names the file."""
        ...

    def changed(self) -> bool:
        """Whether the files differ from those of the last `load`, be it a good or a bad set."""
        ...


class PluggedInFolder:
    """Reads a folder, and notices when it has changed, files renamed and links swapped included."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = str(folder)
        self._seen: Stamp | None = None

    def present(self) -> bool:
        """Whether there is any of the files: from then on they must all be there."""
        return any((self.folder / name).exists() for name in (*_ISTIO, *_TLS))

    def load(self, now: datetime) -> PluggedIn:
        """The set as it is now.

        Raises `BundleError`, which names the file: if the set is incomplete or contradicts itself, a certificate of
        its chain is expired, or files change faster than they can be read.
        """
        for _ in range(_TRIES):
            stamp = self._stamp()
            try:
                names = _TLS if (self.folder / "tls.crt").exists() else _ISTIO
                files = {name: self._content(name) for name in names}
                crl = self._content(_CRL) if names is _ISTIO and (self.folder / _CRL).exists() else b""
            except BundleError:
                if stamp == self._stamp():
                    self._seen = stamp
                    raise
                continue
            if stamp == self._stamp():
                self._seen = stamp
                return plugged_in({**files, _CRL: crl}, now)
        raise BundleError(f"{self.folder}: the files do not stay the same while they are read")

    def changed(self) -> bool:
        """Whether the files differ from those of the last `load`, be it a good or a bad set."""
        return self._stamp() != self._seen

    def _content(self, name: str) -> bytes:
        try:
            content = (self.folder / name).read_bytes()
        except OSError as error:
            raise BundleError(f"{self.folder / name}: {error.strerror}; the set is incomplete") from None
        if not content.strip():
            raise BundleError(f"{self.folder / name} is empty")
        if len(content) > _LARGEST:
            raise BundleError(f"{self.folder / name} has {len(content)} bytes")
        return content

    def _stamp(self) -> Stamp:
        stamps = []
        for name in (*_ISTIO, *_TLS, _CRL):
            try:
                status = (self.folder / name).stat()  # of what links lead to
            except OSError:
                continue
            stamps.append((name, status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(stamps)


def plugged_in(files: Mapping[str, bytes], now: datetime) -> PluggedIn:
    """The set that files make; those of other names, and empty ones, do not count.

    Raises `BundleError`, which names the file: see `PluggedInFolder.load`.
    """
    names = _TLS if files.get("tls.crt") else _ISTIO
    if missing := [name for name in names if not files.get(name)]:
        raise BundleError(f"{', '.join(missing)}: missing or empty; the set is incomplete")
    found = {name: files[name] for name in names}
    crl = files.get(_CRL, b"") if names is _ISTIO else b""
    return _checked(_signer(*found.values()) if names is _ISTIO else _tls_signer(found), crl, now)


def any_plugged_in(files: Mapping[str, bytes]) -> bool:
    """Whether any of the files of a set is among these."""
    return any(files.get(name) for name in (*_ISTIO, *_TLS))


def permitted(old: Iterable[x509.Certificate], new: Iterable[x509.Certificate], *, multi_root: bool) -> bool:
    """Whether running verifiers can go from one set of roots to the other, as istiod permits it.

    The same set: always. With several roots: by adding to it, or by taking away. Order has no meaning.
    """
    before, after = ({fingerprint(root) for root in roots} for roots in (old, new))
    return before == after or (multi_root and (before <= after or after <= before))


def _signer(certificate: bytes, key: bytes, root: bytes, chain: bytes) -> Signer:
    signing = _certificates("ca-cert.pem", certificate)[0]
    above = _certificates("cert-chain.pem", chain)
    try:
        return Signer(PrivateKey.from_pem(key), signing, above, _certificates("root-cert.pem", root))
    except KeyRefused as refused:
        raise BundleError(f"ca-key.pem or ca-cert.pem: {refused}") from None


def _tls_signer(files: dict[str, bytes]) -> Signer:
    certificate, key, root = (files[name] for name in _TLS)
    chain = _certificates("tls.crt", certificate)
    try:
        return Signer(PrivateKey.from_pem(key), chain[0], chain[1:], _certificates("ca.crt", root))
    except KeyRefused as refused:
        raise BundleError(f"tls.key or tls.crt: {refused}") from None


def _certificates(name: str, text: bytes) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(map(readable, x509.load_pem_x509_certificates(text)))
    except ValueError as error:
        raise BundleError(f"{name}: {error}") from None


def _checked(signer: Signer, crl: bytes, now: datetime) -> PluggedIn:
    if now >= signer.ends:
        raise BundleError(f"the chain of {signer.certificate.subject.rfc4514_string()} ended at {signer.ends}")
    if crl:
        issuers = {signed.issuer for signed in _crls(crl)}
        for certificate in signer.chain:
            if certificate.subject not in issuers:
                raise BundleError(
                    f"{_CRL} has none by {certificate.subject.rfc4514_string()}; each authority needs one"
                )
    return PluggedIn(signer, crl)


def _crls(text: bytes) -> list[x509.CertificateRevocationList]:
    end = b"-----END X509 CRL-----"
    try:
        return [x509.load_pem_x509_crl(part + end) for part in text.split(end) if part.strip()]
    except ValueError as error:
        raise BundleError(f"{_CRL}: {error}") from None
