"""What can go wrong, as a tree. Messages are for operators: none holds a key, and none goes to a caller as it is.

    CaError
    ├── SigningError             no certificate was issued; `kind` is istiod's word for it, in metrics and statuses
    │   ├── CsrError             the request is malformed, hostile, or signed by another key
    │   ├── TtlError             more life was asked for than may be given
    │   ├── NotReady             the signer is expired, or not yet valid
    │   ├── Banned               the name gets no certificate until further notice
    │   └── GenerationError      the certificate could not be made
    ├── Unauthenticated          nobody vouches for the caller
    │   └── TokenError           this token does not
    ├── KeyRefused               a key of a kind or size that is not used here
    ├── BundleError              a plugged-in set of files is incomplete, or does not fit together
    ├── RotationError            what was asked of the keys cannot be done now
    └── StorageError             the world failed: disk full, folder gone
        ├── Locked               another process keeps these keys
        └── Conflict             another process wrote in between

Source of the kinds: security/pkg/pki/error of istio/istio.
"""

from __future__ import annotations

from typing import ClassVar


class CaError(Exception):
    """Anything that the certificate authority raises on purpose."""


class SigningError(CaError):
    """No certificate was issued."""

    kind: ClassVar[str] = "UNKNOWN"


class CsrError(SigningError):
    """The certificate signing request is not one that may be signed."""

    kind = "CSR_ERROR"


class TtlError(SigningError):
    """More life was asked for than a certificate may have."""

    kind = "TTL_ERROR"


class NotReady(SigningError):
    """There is no signer that is valid now."""

    kind = "CA_NOT_READY"


class Banned(SigningError):
    """The name gets no certificate until further notice."""


class GenerationError(SigningError):
    """The certificate could not be made of what was asked for."""

    kind = "CERT_GEN_ERROR"


class Unauthenticated(CaError):
    """Nobody vouches for the caller; the message holds every authenticator's reason."""


class TokenError(Unauthenticated):
    """The token proves nothing."""


class KeyRefused(CaError):
    """A key of a kind or size that is not used here."""


class BundleError(CaError):
    """A plugged-in set of files is incomplete, or its files do not fit together."""


class RotationError(CaError):
    """What was asked of the keys cannot be done now."""


class StorageError(CaError):
    """What should have been stored is not; what was stored before still is."""


class Locked(StorageError):
    """Another process keeps these keys."""


class Conflict(StorageError):
    """Another process wrote since this one read."""
