"""Certificates of somebody else's authority, by the CSR API of Kubernetes: we say who may have one, a signer makes it.

A request is put to the API server, approved, and taken away again once it is signed; the workload gets the chain. As
the signer goes by what a request says, a request may say no more than what its sender has proved to be.

Source  security/pkg/pki/ra and security/pkg/k8s/chiron of istio/istio; kubernetes/api certificates/v1.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Final, NamedTuple

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from pilotpy.ops.logs import fields
from pilotpy.ops.settings import Wrong
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.trouble import Trouble, Unreachable
from pilotpy.sources.kubernetes.wire import Wire
from pilotpy_ca.authenticators import Caller
from pilotpy_ca.authority import Chain
from pilotpy_ca.certificates import pem, unique
from pilotpy_ca.csr import signing_request
from pilotpy_ca.errors import BundleError, CsrError, GenerationError, NotReady, TtlError
from pilotpy_ca.leaf import names_of
from pilotpy_ca.server import Create
from pilotpy_ca.service import CertificateService, Granted, Order
from pilotpy_ca.signer import chain_of
from pilotpy_ca.terms import Terms

_LOG: Final = logging.getLogger("pilotpy.signing")
_COLLECTION: Final = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_USAGES: Final = ("digital signature", "key encipherment", "server auth", "client auth")
_PATIENCE: Final = timedelta(seconds=20)  # until it is signed
_LOOKS: Final = timedelta(milliseconds=50), timedelta(seconds=1)  # between looks; at most
_KIND: Final = "ISTIOD_RA_KUBERNETES_API"
_ROOTS: Final = Path("etc/external-ca-cert/root-cert.pem")  # of the signer; in the working directory, as istiod's is
_SHORTEST: Final = timedelta(minutes=10)  # of a life that the API takes


class Signer(NamedTuple):
    """Who signs. One of the names is given."""

    name: str = ""  # of the signer, as "example.com/mesh"
    domain: str = ""  # of signers whose names requests say: "<domain>/<CertSigner>"
    roots: tuple[bytes, ...] = ()  # PEM, one each: what its certificates lead to; empty: told by the mesh, or by chains


def signer_of(environment: Mapping[str, str]) -> Signer | None:
    """The signer that environment variables name, under istiod's names; None: we sign ourselves. Raises `Wrong`."""
    if not (kind := environment.get("EXTERNAL_CA")):
        return None
    if kind != _KIND:
        raise Wrong(f"EXTERNAL_CA: {kind!r} is not known; {_KIND} is")
    signer = Signer(environment.get("K8S_SIGNER", ""), environment.get("CERT_SIGNER_DOMAIN", ""))
    if not signer.name and not signer.domain:
        raise Wrong(f"EXTERNAL_CA is {_KIND}: K8S_SIGNER or CERT_SIGNER_DOMAIN has to say who signs")
    try:
        found = x509.load_pem_x509_certificates(_ROOTS.read_bytes()) if _ROOTS.exists() else []
    except (OSError, ValueError) as error:
        raise Wrong(f"{_ROOTS}: {error}") from None
    return signer._replace(roots=tuple(map(pem, found)))


Roots = Callable[[str], str]
"""The roots of a signer that the mesh's settings name, PEM; "" if they name none."""


class _Condition(Wire, frozen=True):
    type: str
    message: str = ""


class _Status(Wire, frozen=True):
    certificate: bytes = b""
    conditions: tuple[_Condition, ...] | None = None


class _Request(Wire, frozen=True):
    status: _Status = _Status()


class CsrSigner:
    """Has certificates made; `create` goes in the place of `CertificateService.create`."""

    def __init__(self, connection: Connection, signer: Signer, roots: Roots, terms: Terms) -> None:
        self._connection = connection
        self._signer = signer
        self._roots = roots
        self._terms = terms

    def serving(self, service: CertificateService) -> Create:
        """What serves requests; the service counts them."""

        async def create(request: bytes, caller: Caller, now: datetime) -> Granted:
            order = service.order(request, caller)
            with service.refusing():
                chain = await self.chain(order, now)
            unheeded = "" if self._signer.domain else order.signer
            return service.granted(order, chain)._replace(unheeded_signer=unheeded)

        return create

    async def chain(self, order: Order, now: datetime) -> Chain:
        """The chain for an order. Raises `SigningError`."""
        signer, life = self._name(order), order.life or self._terms.default_life
        if life > self._terms.longest_life:
            raise TtlError(f"{life} was asked for; at most {self._terms.longest_life} is given")
        check(order.csr, order.identities)
        try:
            signed = await self._signed(order.csr, signer, max(life, _SHORTEST))
        except Trouble as trouble:
            raise NotReady(f"signer {signer}: {trouble}") from None
        return _checked(signed, order, self._trusted(signer), now)

    def _name(self, order: Order) -> str:
        if order.signer and self._signer.domain:
            return f"{self._signer.domain}/{order.signer}"
        if not self._signer.name:
            raise CsrError("the request names no signer, and there is none for such requests")
        return self._signer.name

    def _trusted(self, signer: str) -> tuple[x509.Certificate, ...]:
        """The roots that a chain has to lead to; none: its own has to be at its end."""
        text = b"".join(self._signer.roots) or self._roots(signer).encode()
        return tuple(x509.load_pem_x509_certificates(text)) if text else ()

    async def _signed(self, csr: bytes, signer: str, life: timedelta) -> bytes:
        """What the signer answers, PEM. Raises `Trouble`, `GenerationError`."""
        name = f"csr-workload-{token_hex(8)}"
        spec = {
            "request": b64encode(csr).decode(),
            "signerName": signer,
            "usages": _USAGES,
            "expirationSeconds": int(life.total_seconds()),
        }
        made = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name}}
        await self._connection.ask("POST", _COLLECTION, made | {"spec": spec})
        try:
            approved = {
                "type": "Approved",
                "status": "True",
                "reason": "Vouched",
                "message": "pilotpy knows its sender",
            }
            await self._connection.ask(
                "PUT", f"{_COLLECTION}/{name}/approval", made | {"spec": spec, "status": {"conditions": [approved]}}
            )
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                return await self._certificate(name)
        except TimeoutError:
            raise Unreachable(f"not signed after {_PATIENCE.total_seconds():g} s") from None
        finally:
            await asyncio.shield(self._removed(name))

    async def _certificate(self, name: str) -> bytes:
        pause, longest = (one.total_seconds() for one in _LOOKS)
        while True:
            answer = await self._connection.ask("GET", f"{_COLLECTION}/{name}")
            try:
                status = msgspec.json.decode(answer, type=_Request).status
            except msgspec.DecodeError as error:
                raise GenerationError(f"not a request with its status: {error}") from None
            for condition in status.conditions or ():
                if condition.type in {"Denied", "Failed"}:
                    raise GenerationError(f"{condition.type}: {condition.message[:500]}")
            if status.certificate:
                return status.certificate
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, longest)

    async def _removed(self, name: str) -> None:
        """Take a request away; where that fails, Kubernetes does it after an hour."""
        try:
            await self._connection.ask("DELETE", f"{_COLLECTION}/{name}", patience=timedelta(seconds=5))
        except Trouble as trouble:
            _LOG.warning("request left behind", extra=fields(name=name, reason=str(trouble)))


def check(csr: bytes, identities: Sequence[str]) -> None:
    """Refuse a request that says more than who its sender is. Raises `CsrError`."""
    signing_request(csr)
    request = x509.load_pem_x509_csr(csr)
    others = [one for one in request.subject if one.oid != NameOID.ORGANIZATION_NAME or one.value]
    if others:
        raise CsrError(f"it has a subject: {request.subject.rfc4514_string()[:200]!r}")
    named = False
    for extension in request.extensions:
        if not isinstance(extension.value, x509.SubjectAlternativeName):
            raise CsrError(f"it asks for extension {extension.oid.dotted_string}")
        names = list(extension.value)
        if any(not isinstance(name, x509.UniformResourceIdentifier) for name in names) or len(names) > 1:
            raise CsrError("it has other names than one URI")
        if strange := [str(name.value) for name in names if name.value not in identities]:
            raise CsrError(f"it names {strange[0][:200]!r}, and its sender is {', '.join(identities)[:500]}")
        named = True
    if not named:
        raise CsrError("it names nobody, and the signer knows no more than it says")


def _checked(signed: bytes, order: Order, roots: tuple[x509.Certificate, ...], now: datetime) -> Chain:
    """The chain that a signer answered with, if it is what was ordered. Raises `SigningError`."""
    try:
        leaf, *above = x509.load_pem_x509_certificates(signed)
    except ValueError as error:
        raise GenerationError(f"the signer answered no certificates: {error}") from None
    if leaf.public_key() != x509.load_pem_x509_csr(order.csr).public_key():
        raise GenerationError("the signer answered with a certificate for another key")
    if now >= leaf.not_valid_after_utc:
        raise GenerationError("the signer answered with a certificate that has ended")
    if not set(order.identities).issuperset(found := names_of(leaf)) or not found:
        raise GenerationError(f"the signer answered with a certificate of {', '.join(found)[:500] or 'nobody'}")
    roots = roots or tuple(one for one in above[-1:] if one.issuer == one.subject)
    if not roots:
        raise CsrError("the signer's root is not known: MeshConfig may tell it in caCertificates, or a file")
    try:
        chain = chain_of(leaf, tuple(above), roots)
    except BundleError as error:
        raise GenerationError(f"what the signer answered leads nowhere: {error}") from None
    elements = [pem(one).decode() for one in chain]
    bundle = "".join(pem(root).decode() for root in unique(roots))
    return Chain((*elements, bundle), leaf.serial_number, leaf.not_valid_after_utc)
