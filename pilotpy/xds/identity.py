"""Who a client is: what it shows, who vouches for it, and whether it may go by the name that it gives.

From the credentials of a call to a caller, and from a caller and a node to the identity that decides what the node is
given. What a client is told is always the same; the reason is for the log. Source: pilot/pkg/xds/auth.go and
pilot/pkg/xds/ads.go of istio/istio.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from pilotpy.mesh.proxy import proxy_from_node
from pilotpy.mesh.view import Identity
from pilotpy.model.resource import Finding
from pilotpy.ops.clock import Clock
from pilotpy.ops.logs import fields
from pilotpy.xds.publication import Node
from pilotpy.xds.transport import Code, Refusal
from pilotpy_ca.authenticators import Authenticator, Caller, Credentials, authenticated
from pilotpy_ca.errors import CaError, Unauthenticated
from pilotpy_ca.spiffe import SpiffeId

_LOG: Final = logging.getLogger("pilotpy.identity")
_PATIENCE: Final = 10.0  # seconds that authenticators may take together


class Vouching(Protocol):
    """Says who callers are."""

    async def caller(self, credentials: Credentials) -> Caller:
        """Who it is. Raises `Refusal`, which does not say why."""
        ...

    def check(self, caller: Caller) -> None:
        """Raise `Refusal` for one who is let in no longer: some time may pass before it says what it wants."""
        ...


class Reviewing(Protocol):
    """Finds out who may have secrets."""

    async def reviewed(self, connection: str, identity: Identity) -> None:
        """Wait until the compiler knows it of an identity, or nobody could say for some seconds."""
        ...

    def left(self, connection: str) -> None:
        """A connection has ended; it may never have asked."""
        ...


class Unreviewed:
    """Nobody has to be found out about. Implements `Reviewing`."""

    async def reviewed(self, connection: str, identity: Identity) -> None:
        """See `Reviewing`."""

    def left(self, connection: str) -> None:
        """See `Reviewing`."""


class Authenticators:
    """Asks one authenticator after the other; implements `Vouching`."""

    def __init__(
        self,
        authenticators: Sequence[Authenticator],
        clock: Clock,
        check: Callable[[Sequence[str]], None] = lambda identities: None,  # noqa: ARG005 - as it is called
    ) -> None:
        """`check` is told of each caller's names, and raises `CaError` for those who are not let in."""
        self._authenticators = tuple(authenticators)
        self._clock = clock
        self._check = check

    async def caller(self, credentials: Credentials) -> Caller:
        """See `Vouching`."""
        try:
            async with asyncio.timeout(_PATIENCE):
                caller = await authenticated(self._authenticators, credentials, self._clock.now())
        except (Unauthenticated, TimeoutError) as error:
            reason = str(error) or "the authenticators took too long"
            _LOG.warning("not authenticated", extra=fields(peer=credentials.peer.address, reason=reason))
            raise Refusal(Code.UNAUTHENTICATED, "authentication failure") from None
        self.check(caller)
        return caller

    def check(self, caller: Caller) -> None:
        """See `Vouching`."""
        try:
            self._check(caller.identities)
        except CaError as error:
            _LOG.warning("not let in", extra=fields(identities=caller.identities, reason=str(error)))
            raise Refusal(Code.UNAUTHENTICATED, "authentication failure") from None


def identities_of(caller: Caller) -> tuple[Identity, ...]:
    """The workloads that a caller is, in the order of its names; names that are no workload's are left out."""
    found = []
    for name in caller.identities:
        try:
            id_ = SpiffeId.parse(name)
        except ValueError:
            continue
        found.append(Identity(id_.namespace, id_.service_account, caller.details.get("cluster", "")))
    return tuple(dict.fromkeys(found))


def identity_of(caller: Caller, node: Node) -> Identity:
    """The one of a caller's identities that its node may go by.

    It has the namespace that the node is in and, where the node says one, its service account. A token is of one
    cluster; a certificate is of the mesh, so its cluster is as the node says. Raises `Refusal`.
    """
    proxy = proxy_from_node(node.id, node.metadata, node.locality, node.extensions)
    if isinstance(proxy, Finding):
        raise Refusal(Code.INVALID_ARGUMENT, proxy.message)
    for identity in identities_of(caller):
        if identity.namespace == proxy.namespace and proxy.service_account in {"", identity.service_account}:
            return identity if "cluster" in caller.details else identity._replace(cluster=proxy.cluster)
    proved = ", ".join(caller.identities)[:1000]
    _LOG.warning("not who it says it is", extra=fields(node=node.id, account=proxy.service_account, proved=proved))
    raise Refusal(Code.PERMISSION_DENIED, f"authorization failed: no identity of the caller matches node {node.id}")
