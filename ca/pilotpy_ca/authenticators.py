"""Who a caller is: from what a connection and a request show to identities, or a refusal with all its reasons.

Asked in order, the first that yields an identity wins. Those that ask elsewhere (an API server) wait, so all may.
Source: security/pkg/server/ca/authenticate of istio/istio.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from cryptography import x509

from pilotpy_ca.authority import Authority
from pilotpy_ca.certificates import readable
from pilotpy_ca.errors import TokenError, Unauthenticated
from pilotpy_ca.jwt import MAX_TOKEN, Claims, VerifyingKey, verified, verifying_keys
from pilotpy_ca.leaf import names_of
from pilotpy_ca.spiffe import SpiffeId
from pilotpy_ca.tokens import AUDIENCE, TokenIssuer

_PATIENCE: Final = 5.0  # seconds that it may take to find out whose proxy a caller is


class Peer(NamedTuple):
    """The other end of a TLS connection, as the handshake left it."""

    address: str  # ip:port
    certificate: bytes | None = None  # DER of its leaf, if it showed one; verified up to one of our roots


class Credentials(NamedTuple):
    """What a request shows."""

    peer: Peer
    token: str | None = None  # what followed `Bearer`
    cluster: str = ""  # the one that the caller says it is of

    def __repr__(self) -> str:
        return f"<Credentials of {self.peer.address}>"  # there is a token among it


class Caller(NamedTuple):
    """Who it is."""

    identities: tuple[str, ...]  # SPIFFE IDs, or other SANs of its certificate; never empty
    by: str  # the authenticator's name
    holder: str = ""  # its proxy as <pod>.<namespace>, if that is known
    details: Mapping[str, str] = {}  # what else an authenticator vouches for: a pod's UID


class Authenticator(Protocol):
    """One way to prove who one is."""

    name: str

    async def caller(self, credentials: Credentials, now: datetime) -> Caller:
        """Who it is. Raises `Unauthenticated` with the reason, which is for the log only."""
        ...


async def authenticated(authenticators: Iterable[Authenticator], credentials: Credentials, now: datetime) -> Caller:
    """Who it is, by the first authenticator that says so. Raises `Unauthenticated` with every reason."""
    reasons = []
    for authenticator in authenticators:
        try:
            return await authenticator.caller(credentials, now)
        except Unauthenticated as reason:
            reasons.append(f"{authenticator.name}: {reason}")
    raise Unauthenticated("; ".join(reasons) or "there is no way to authenticate")


async def with_holder(
    caller: Caller, authenticators: Iterable[Authenticator], credentials: Credentials, now: datetime
) -> Caller:
    """The caller with its proxy, if that is known or any authenticator knows it of one with these names.

    The certificate that it showed may be by another replica, and its token tells for which Pod it is. Nobody is refused
    for that this takes too long: it has proved already who it is.
    """
    if caller.holder or not credentials.token:
        return caller
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            for authenticator in authenticators:
                with suppress(Unauthenticated):
                    found = await authenticator.caller(credentials, now)
                    if found.holder and found.identities == caller.identities:
                        return caller._replace(holder=found.holder, details=found.details)
    return caller


def credentials_of(metadata: Iterable[tuple[str, str | bytes]], peer: Peer) -> Credentials:
    """What a call's metadata shows. More than one token, or one that is too long, counts as none."""
    tokens, clusters = [], []
    for name, value in metadata:
        match name.lower():
            case "authorization" if isinstance(value, str) and value.startswith("Bearer "):
                tokens.append(value.removeprefix("Bearer ").strip())
            case "clusterid" if isinstance(value, str):
                clusters.append(value)
    token = tokens[0] if len(tokens) == 1 and len(tokens[0]) <= MAX_TOKEN else None
    return Credentials(peer, token, clusters[0] if len(clusters) == 1 else "")


class ClientCertificate:
    """Whoever shows a certificate of ours is who it names; not if it is revoked, or its signer's key got out."""

    name = "client certificate"

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    async def caller(self, credentials: Credentials, now: datetime) -> Caller:
        """See `Authenticator`. The handshake verified the chain; connections may outlive it, so times count here."""
        if credentials.peer.certificate is None:
            raise Unauthenticated("none was shown")
        certificate = _certificate(credentials.peer.certificate)
        if reason := self._authority.disowned(certificate):
            raise Unauthenticated(reason)
        if now >= certificate.not_valid_after_utc:
            raise Unauthenticated(f"ended at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S}")
        identities = names_of(certificate)
        if not identities:
            raise Unauthenticated("it names nobody")
        issued = self._authority.ledger.find(certificate.serial_number)
        return Caller(identities, self.name, issued.holder if issued else "")


def admission(authority: Authority, trust_domains: Callable[[], Collection[str]]) -> Callable[[bytes], None]:
    """What a TLS front asks about a verified leaf: whether it is a workload's of these trust domains, not disowned.

    Exactly one URI has to be among its names, a SPIFFE ID. Source: VerifyPeerCertificate of istiod (pkg/spiffe).
    """

    def admitted(leaf: bytes) -> None:
        certificate = _certificate(leaf)
        uris = [name for name in names_of(certificate) if "://" in name]
        if len(uris) != 1:
            raise Unauthenticated(f"the certificate has {len(uris)} URIs among its names; one is needed")
        try:
            identity = SpiffeId.parse(uris[0])
        except ValueError as error:
            raise Unauthenticated(str(error)) from None
        if identity.trust_domain not in trust_domains():
            raise Unauthenticated(f"{identity} is of a trust domain that is not ours")
        if reason := authority.disowned(certificate):
            raise Unauthenticated(reason)

    return admitted


class TokenRule(NamedTuple):
    """Which tokens are taken. The trust domain is asked for each time: a mesh may change it."""

    issuer: str
    audiences: frozenset[str]
    trust_domain: Callable[[], str]


class Jwt:
    """Tokens of an OIDC issuer; somebody else fetches its keys, or reads them from a file, and has them learnt."""

    def __init__(self, rule: TokenRule, name: str = "OIDC token", keys: Sequence[VerifyingKey] = ()) -> None:
        self.name = name
        self._rule = rule
        self._keys = tuple(keys)

    def learn(self, jwks: bytes) -> None:
        """Take these keys from now on. Raises `TokenError` if it is no key set; the keys of before stay."""
        self._keys = verifying_keys(jwks)

    async def caller(self, credentials: Credentials, now: datetime) -> Caller:
        """See `Authenticator`."""
        if not credentials.token:
            raise TokenError("none was shown")
        if not self._keys:
            raise TokenError(f"the keys of {self._rule.issuer} are not known")
        claims = verified(credentials.token, self._keys, now)
        if claims.issuer != self._rule.issuer:
            raise TokenError(f"the issuer is {claims.issuer[:200]!r}")
        if not self._rule.audiences.intersection(claims.audiences):
            raise TokenError(f"the audience is {', '.join(claims.audiences)[:200]!r}")
        namespace, account = service_account(claims.subject)
        try:
            identity = SpiffeId.of(self._rule.trust_domain(), namespace, account)
        except ValueError as error:
            raise TokenError(str(error)) from None
        return Caller((str(identity),), self.name, *_pod(claims, namespace))


def folder_issuer(issuer: TokenIssuer, trust_domain: Callable[[], str]) -> Jwt:
    """The authenticator for tokens of an issuer of our own."""
    audiences = frozenset({issuer.audience or AUDIENCE})
    return Jwt(TokenRule(issuer.issuer, audiences, trust_domain), "projected token", issuer.keys)


def service_account(subject: str) -> tuple[str, str]:
    """Namespace and name of the service account that a subject is. Raises `TokenError`."""
    parts = subject.split(":")
    if len(parts) != 4 or parts[:2] != ["system", "serviceaccount"] or not parts[2] or not parts[3]:
        raise TokenError(f"the subject {subject[:200]!r} is not a service account")
    return parts[2], parts[3]


def _certificate(der: bytes) -> x509.Certificate:
    try:
        return readable(x509.load_der_x509_certificate(der))
    except ValueError as error:
        raise Unauthenticated(f"the certificate cannot be read: {error}") from None


def _pod(claims: Claims, namespace: str) -> tuple[str, dict[str, str]]:
    """The proxy that a token is bound to, and the UID of its pod, as far as the token tells."""
    pod: Any = claims.all.get("kubernetes.io")
    pod = pod.get("pod") if isinstance(pod, dict) else None
    name, uid = (pod.get("name"), pod.get("uid")) if isinstance(pod, dict) else (None, None)
    if not isinstance(name, str) or not name:
        return "", {}
    details = {"pod": name} | ({"uid": uid} if isinstance(uid, str) else {})
    return f"{name}.{namespace}", details
