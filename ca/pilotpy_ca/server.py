"""The authority on the network: CreateCertificate by grpc.aio, behind the TLS front, and the keeper's tick.

`certificate_handler` is for a gRPC server that serves more than this; `serving` runs alone. Here is a clock.
Source: security/pkg/server/ca/server.go of istio/istio; istio/api, security/v1alpha1/ca.proto.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import grpc
import grpc.aio

from pilotpy_ca.authenticators import Authenticator, Caller, Peer, admission, authenticated, credentials_of, with_holder
from pilotpy_ca.authority import Authority, ServerIdentity
from pilotpy_ca.certificates import pem
from pilotpy_ca.clock import Clock, system_clock
from pilotpy_ca.errors import CaError, Unauthenticated
from pilotpy_ca.front import Front, FrontLimits
from pilotpy_ca.keeper import Event, Keeper
from pilotpy_ca.log import fields
from pilotpy_ca.service import METHOD, SERVICE, CertificateService, Granted, Refused

_LOG: Final = logging.getLogger("pilotpy_ca.server")
_PATIENCE: Final = 10.0  # seconds that authenticators may take together
_REQUEST_BYTES: Final = 64 << 10
_TICK: Final = 1.0  # seconds
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _REQUEST_BYTES),
    ("grpc.max_connection_idle_ms", 300_000),  # without a call
    ("grpc.so_reuseport", 0),
)


Create = Callable[[bytes, Caller, datetime], Awaitable[Granted]]
"""As `CertificateService.create`, of those who sign at a distance. Raises `Refused`."""


def certificate_handler(
    service: CertificateService,
    authenticators: Sequence[Authenticator],
    peer_of: Callable[[str], Peer | None],
    clock: Clock = system_clock,
    elsewhere: Create | None = None,
) -> grpc.GenericRpcHandler[Any, Any]:
    """What serves CreateCertificate on a grpc.aio server; `peer_of` is the front's `peer`.

    Signing stays on the event loop: it takes under a millisecond, and cryptography holds the interpreter meanwhile.
    Unless it is done `elsewhere`, in place of the service's `create`, as somebody else's.
    """

    async def create(request: bytes, context: Any) -> bytes:
        inner = context.peer()
        try:
            peer = peer_of(inner)
            if peer is None:
                raise service.unauthenticated(f"{inner!r} did not come through the front")
            try:
                async with asyncio.timeout(_PATIENCE):
                    credentials = credentials_of(context.invocation_metadata() or (), peer)
                    caller = await authenticated(authenticators, credentials, clock())
            except (Unauthenticated, TimeoutError) as error:
                raise service.unauthenticated(str(error) or "the authenticators took too long") from None
            caller = await with_holder(caller, authenticators, credentials, clock())
            service.admit(caller, clock())
            if elsewhere is not None:
                granted = await elsewhere(request, caller, clock())
            else:
                granted = service.create(request, caller, clock())
        except Refused as refused:
            _LOG.warning(
                "certificate refused",
                extra=fields(peer=peer.address if peer else inner, code=refused.code, reason=refused.reason),
            )
            await context.abort(grpc.StatusCode[refused.code], refused.message)
            raise
        _LOG.info(
            "certificate issued",
            extra=fields(
                identity=", ".join(granted.identities),
                serial=f"{granted.serial:x}",
                ends=granted.ends.isoformat(),
                peer=peer.address,
                by=caller.by,
                holder=caller.holder,
            ),
        )
        if granted.unheeded_signer:
            _LOG.warning(
                "certificate issued by another signer than was asked for",
                extra=fields(asked=granted.unheeded_signer, serial=f"{granted.serial:x}", peer=peer.address),
            )
        return granted.response

    return grpc.method_handlers_generic_handler(SERVICE, {METHOD: grpc.unary_unary_rpc_method_handler(create)})


class ServerCertificate:
    """The control plane's own certificate on a front: issued by the authority, and again when it has to be.

    That is: at half of its life, and whenever signer or roots change. Call `keep` as often as the keeper's `tick`.
    """

    def __init__(
        self, authority: Authority, front: Front, dns_names: Sequence[str], others: Sequence[bytes] = ()
    ) -> None:
        """`others`: roots of those who sign for workloads in the authority's place, PEM."""
        self._authority = authority
        self._others = tuple(others)
        self._front = front
        self._dns_names = tuple(dns_names)
        self._under: tuple[str, frozenset[str]] | None = None  # signer and roots
        self._again: datetime | None = None
        self.identity: ServerIdentity | None = None

    def keep(self, now: datetime) -> bool:
        """Present a new certificate if one is due; says whether it was. Raises `SigningError`; the old one stays."""
        under = self._authority.slots.active.signer.id, self._authority.root_fingerprints
        if self._under == under and self._again is not None and now < self._again:
            return False
        identity = self._authority.issue_server(self._dns_names, now)
        # Roots of others, which the mesh may trust too, vouch for nobody who asks here.
        self._front.present(identity, [*(pem(root) for root in self._authority.slots.roots), *self._others])
        self._under = under
        self._again = now + (identity.chain.ends - now) / 2
        self.identity = identity
        return True


async def ticking(keeper: Keeper, also: Callable[[datetime], object], clock: Clock = system_clock) -> None:
    """Let the keeper do what is due, and something else, once a second, for ever.

    Failures of any kind are logged, each as often as its reason changes, and tried again: that the keeper stopped would
    be noticed when certificates end.
    """
    said = ""
    while True:
        now, reason, unforeseen = clock(), "", None
        try:
            for event in keeper.tick(now):
                log_event(event)
            also(now)
        except (CaError, OSError) as error:
            reason = str(error)
        except Exception as ours:  # noqa: BLE001 - it is logged whole
            reason, unforeseen = repr(ours), ours
        if reason and reason != said:
            _LOG.error("the authority is not kept up", exc_info=unforeseen, extra=fields(reason=reason))
        said = reason
        await asyncio.sleep(_TICK)


def log_event(event: Event) -> None:
    """Log what happened to the keys."""
    level = logging.ERROR if event.what == "refused" else logging.INFO
    _LOG.log(level, "keys: %s", event.what, extra=fields(about=event.about, detail=event.detail))


@dataclass(frozen=True)
class Running:
    """An authority that serves alone."""

    address: str
    service: CertificateService
    front: Front


@contextlib.asynccontextmanager
async def serving(
    keeper: Keeper,
    authenticators: Sequence[Authenticator],
    address: str,
    dns_names: Sequence[str],
    clock: Clock = system_clock,
) -> AsyncIterator[Running]:
    """CreateCertificate over TLS on an address, as long as the context lasts.

    Raises `OSError` if the address is taken, `SigningError` if the keeper has no valid signer.
    """
    authority = keeper.authority
    front = Front(admission(authority, lambda: {keeper.terms.trust_domain}), FrontLimits())
    service = CertificateService(authority)
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((certificate_handler(service, authenticators, front.peer, clock),))
    server.add_insecure_port(front.inner_address)
    certificate = ServerCertificate(authority, front, dns_names)
    certificate.keep(clock())
    await server.start()
    ticks = asyncio.create_task(ticking(keeper, certificate.keep, clock), name="keeper")
    heard_no_more = authority.on_change(front.review)
    try:
        yield Running(await front.start(address), service, front)
    finally:
        heard_no_more()
        ticks.cancel()
        await asyncio.gather(ticks, return_exceptions=True)
        await server.stop(1)
        await front.stop(timedelta(seconds=1))
        keeper.close()
