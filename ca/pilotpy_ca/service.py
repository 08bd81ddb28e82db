"""CreateCertificate: from the bytes of a request and who sent it to the bytes of a response, or a status.

A caller learns what its own request lacks in istiod's words, and nothing else; the reason is for the log.
Source: security/pkg/server/ca/server.go of istio/istio, security/v1alpha1/ca.proto of istio/api.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from pilotpy_ca.authenticators import Caller
from pilotpy_ca.authority import Authority
from pilotpy_ca.errors import Banned, CsrError, SigningError, TtlError
from pilotpy_ca.metrics import Counts

SERVICE: Final = "istio.v1.auth.IstioCertificateService"
METHOD: Final = "CreateCertificate"
_LONGEST_SECONDS: Final = timedelta.max // timedelta(seconds=1)
# Whether a caller may have a certificate for another identity: ztunnel, for the pods of its node.
Impersonation = Callable[[Caller, str], bool]


class Refused(Exception):
    """A call ends with a status."""

    def __init__(self, code: str, message: str, reason: str) -> None:
        super().__init__(message)
        self.code = code  # the name of a gRPC status code
        self.message = message  # for the caller
        self.reason = reason  # for the log


class Granted(NamedTuple):
    """A certificate was issued."""

    response: bytes
    identities: tuple[str, ...]
    serial: int
    ends: datetime
    unheeded_signer: str = ""  # which of a Kubernetes' signers was asked for: there is one authority here


class CertificateService:
    """Answers requests. Pure but for what the authority notes; counts under istiod's names."""

    def __init__(
        self, authority: Authority, counts: Counts | None = None, impersonation: Impersonation | None = None
    ) -> None:
        self._authority = authority
        self.counts = counts if counts is not None else Counts()
        self._impersonation = impersonation

    def unauthenticated(self, reason: str) -> Refused:
        """What a caller gets that nobody vouches for."""
        self.counts.requests += 1
        self.counts.authentication_failures += 1
        return Refused("UNAUTHENTICATED", "request authenticate failure", reason)

    def create(self, request: bytes, caller: Caller, now: datetime) -> Granted:
        """A certificate chain for a caller that was authenticated. Raises `Refused`."""
        from pilotpy_protos.istio.v1.auth import ca_pb2  # late: commands that only read certificates do without

        self.counts.requests += 1
        try:
            asked = ca_pb2.IstioCertificateRequest.FromString(request)
        except DecodeError:
            raise self._signing_error(CsrError("not an IstioCertificateRequest")) from None
        identities, holder = caller.identities, caller.holder
        if other := asked.metadata.fields["ImpersonatedIdentity"].string_value if asked.HasField("metadata") else "":
            if self._impersonation is None or not self._impersonation(caller, other):
                self.counts.authentication_failures += 1
                reason = f"{', '.join(caller.identities)} may not have a certificate for {other[:300]!r}"
                raise Refused("UNAUTHENTICATED", "request impersonation authentication failure", reason)
            identities, holder = (other,), ""
        seconds = asked.validity_duration
        try:
            ttl = timedelta(seconds=min(max(seconds, 0), _LONGEST_SECONDS))
            chain = self._authority.issue(asked.csr.encode(), identities, ttl, now, holder)
        except Banned as banned:
            self.counts.authentication_failures += 1
            raise Refused("UNAUTHENTICATED", "request authenticate failure", str(banned)) from None
        except SigningError as error:
            raise self._signing_error(error) from None
        self.counts.issued += 1
        response = ca_pb2.IstioCertificateResponse(cert_chain=chain.elements)
        signer = asked.metadata.fields["CertSigner"].string_value[:300] if asked.HasField("metadata") else ""
        return Granted(response.SerializeToString(), identities, chain.serial, chain.ends, signer)

    def _signing_error(self, error: SigningError) -> Refused:
        self.counts.signing_errors[error.kind] = self.counts.signing_errors.get(error.kind, 0) + 1
        code = "INVALID_ARGUMENT" if isinstance(error, CsrError | TtlError) else "INTERNAL"
        return Refused(code, f"CSR signing error ({error.kind})", str(error))
