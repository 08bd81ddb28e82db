"""CreateCertificate: from the bytes of a request and who sent it to the bytes of a response, or a status.

A caller learns what its own request lacks in istiod's words, and nothing else; the reason is for the log.
Source: security/pkg/server/ca/server.go of istio/istio, security/v1alpha1/ca.proto of istio/api.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from pilotpy_ca.authenticators import Caller
from pilotpy_ca.authority import Authority, Chain
from pilotpy_ca.errors import Banned, CsrError, SigningError, TtlError
from pilotpy_ca.metrics import Counts
from pilotpy_ca.rate import RateLimit

SERVICE: Final = "istio.v1.auth.IstioCertificateService"
METHOD: Final = "CreateCertificate"
_LONGEST_SECONDS: Final = timedelta.max // timedelta(seconds=1)
# Of one proxy: at once, and then in the life of a certificate. An agent that is well asks for two in it, one that fails
# again and again, as Kubernetes starts it, for 300 in a day. All are remembered until they end, told to other replicas,
# and listed one by one when they are revoked, so who asks without bounds would take the room of all.
_AT_ONCE, _IN_A_LIFE = 300, 300
# Of all proxies of a service account together, where it is not known which is which.
_SHARED_AT_ONCE, _SHARED_PER_SECOND = 500, 50.0
# Whether a caller may have a certificate for another identity: ztunnel, for the pods of its node.
Impersonation = Callable[[Caller, str], bool]


class Refused(Exception):
    """A call ends with a status."""

    def __init__(self, code: str, message: str, reason: str) -> None:
        super().__init__(message)
        self.code = code  # the name of a gRPC status code
        self.message = message  # for the caller
        self.reason = reason  # for the log


class Order(NamedTuple):
    """A request of somebody who may have what it asks for."""

    csr: bytes  # PEM, not looked at yet
    identities: tuple[str, ...]
    holder: str  # see `Caller`
    life: timedelta  # zero: the default
    signer: str  # in whose name, where others sign; "": nobody's in particular


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
        self.limit = RateLimit(_AT_ONCE, _IN_A_LIFE / authority.terms.default_life.total_seconds())  # of a proxy
        self.shared_limit = RateLimit(_SHARED_AT_ONCE, _SHARED_PER_SECOND)  # of a service account

    def unauthenticated(self, reason: str) -> Refused:
        """What a caller gets that nobody vouches for."""
        self.counts.requests += 1
        self.counts.authentication_failures += 1
        return Refused("UNAUTHENTICATED", "request authenticate failure", reason)

    def admit(self, caller: Caller, now: datetime) -> None:
        """Count a request of a caller. Raises `Refused` for one of too many."""
        who, limit = caller.holder, self.limit
        if not who:
            who, limit = ", ".join(caller.identities), self.shared_limit
        if not limit.admits(who, now):
            self.counts.requests += 1
            self.counts.turned_away += 1
            raise Refused("RESOURCE_EXHAUSTED", "too many requests, try again later", f"{who} asks too often")

    def create(self, request: bytes, caller: Caller, now: datetime) -> Granted:
        """A certificate chain for a caller that was authenticated. Raises `Refused`."""
        order = self.order(request, caller)
        with self.refusing():
            chain = self._authority.issue(order.csr, order.identities, order.life, now, order.holder)
        return self.granted(order, chain)._replace(unheeded_signer=order.signer)

    def order(self, request: bytes, caller: Caller) -> Order:
        """What a caller may have of what it asks for. Raises `Refused`."""
        from pilotpy_protos.istio.v1.auth import ca_pb2  # late: commands that only read certificates do without

        self.counts.requests += 1
        try:
            asked = ca_pb2.IstioCertificateRequest.FromString(request)
        except DecodeError:
            raise self._signing_error(CsrError("not an IstioCertificateRequest")) from None
        identities, holder = caller.identities, caller.holder
        said = asked.metadata.fields if asked.HasField("metadata") else {}
        if other := said["ImpersonatedIdentity"].string_value if "ImpersonatedIdentity" in said else "":
            if self._impersonation is None or not self._impersonation(caller, other):
                self.counts.authentication_failures += 1
                reason = f"{', '.join(caller.identities)} may not have a certificate for {other[:300]!r}"
                raise Refused("UNAUTHENTICATED", "request impersonation authentication failure", reason)
            identities, holder = (other,), ""
        with self.refusing():
            self._authority.check_bans(identities)
        signer = said["CertSigner"].string_value[:300] if "CertSigner" in said else ""
        life = timedelta(seconds=min(max(asked.validity_duration, 0), _LONGEST_SECONDS))
        return Order(asked.csr.encode(), identities, holder, life, signer)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Errors in signing, as callers are told of them: raises `Refused` for them."""
        try:
            yield
        except Banned as banned:
            self.counts.authentication_failures += 1
            raise Refused("UNAUTHENTICATED", "request authenticate failure", str(banned)) from None
        except SigningError as error:
            raise self._signing_error(error) from None

    def granted(self, order: Order, chain: Chain) -> Granted:
        """The answer to an order."""
        from pilotpy_protos.istio.v1.auth import ca_pb2

        self.counts.issued += 1
        response = ca_pb2.IstioCertificateResponse(cert_chain=chain.elements)
        return Granted(response.SerializeToString(), order.identities, chain.serial, chain.ends)

    def _signing_error(self, error: SigningError) -> Refused:
        self.counts.signing_errors[error.kind] = self.counts.signing_errors.get(error.kind, 0) + 1
        code = "INVALID_ARGUMENT" if isinstance(error, CsrError | TtlError) else "INTERNAL"
        return Refused(code, f"CSR signing error ({error.kind})", str(error))
