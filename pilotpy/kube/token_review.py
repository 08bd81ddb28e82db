"""Who a caller is by its Kubernetes token: the API server of its cluster is asked, for our audiences, every time.

Nothing is remembered: a Pod that was deleted takes its token with it. An API server that does not know of audiences
would vouch for tokens that are not for us; such a one says no audience, and is not believed.

Source  security/pkg/server/ca/authenticate/kubeauth/kube_jwt.go of istio/istio; kubernetes/api authentication/v1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Final
from weakref import WeakKeyDictionary

import msgspec

from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.trouble import Refused, Trouble
from pilotpy.sources.kubernetes.wire import Wire
from pilotpy_ca.authenticators import Caller, Credentials, service_account
from pilotpy_ca.errors import TokenError
from pilotpy_ca.spiffe import SpiffeId
from pilotpy_ca.tokens import AUDIENCE

AUDIENCES: Final = frozenset({AUDIENCE})
AT_ONCE: Final = 64
"""Reviews by one API server; further ones wait. Who proves nothing may have any number of words reviewed."""

_PATH: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
_GROUP: Final = "system:serviceaccounts"
_POD: Final = "authentication.kubernetes.io/pod-"
_LONGEST_NAME: Final = 253
_LARGEST: Final = 1 << 20  # bytes of a review: other clusters may mean no good
_PATIENCE: Final = timedelta(seconds=4)
_PAUSES: Final = (0.2, 0.8)  # seconds before the second and the third try; a caller waits for 10 at most

Servers = Callable[[str], Connection | None]
"""The API server of a cluster, by the id that a caller says it is of, "" for one that says none; None: unknown."""


class _User(Wire, frozen=True):
    username: str = ""
    groups: tuple[str, ...] | None = None
    extra: Mapping[str, tuple[str, ...] | None] | None = None


class _Status(Wire, frozen=True):
    authenticated: bool = False
    user: _User = _User()
    audiences: tuple[str, ...] | None = None
    error: str = ""


class _Review(Wire, frozen=True):
    status: _Status = _Status()


class TokenReviews:
    """The authenticator for tokens of service accounts; see `pilotpy_ca.authenticators.Authenticator`."""

    name = "Kubernetes token"

    def __init__(
        self,
        servers: Servers,
        trust_domain: Callable[[], str],
        count: Callable[[str], None],
        audiences: Collection[str] = AUDIENCES,
    ) -> None:
        """`count` is told of each review: "vouched", "refused" or "failed"."""
        self._servers = servers
        self._trust_domain = trust_domain
        self._count = count
        self._audiences = sorted(audiences)
        self._turns: WeakKeyDictionary[Connection, asyncio.Semaphore] = WeakKeyDictionary()

    async def caller(self, credentials: Credentials, now: datetime) -> Caller:  # noqa: ARG002 - the server has a clock
        """Who it is. Raises `TokenError`."""
        if not credentials.token:
            raise TokenError("none was shown")
        server = self._servers(credentials.cluster)
        if server is None:
            raise TokenError(f"nothing is known of a cluster {credentials.cluster[:200]!r}")
        status = await self._reviewed(server, credentials.token)
        self._count("vouched" if status.authenticated and not status.error else "refused")
        if status.error or not status.authenticated:
            raise TokenError(f"the API server does not vouch for it: {status.error[:500] or 'no reason given'}")
        if not set(self._audiences).intersection(status.audiences or ()):
            raise TokenError("the API server does not say that it is for one of our audiences")
        user = status.user
        if _GROUP not in (user.groups or ()):
            raise TokenError(f"{user.username[:200]!r} is not in group {_GROUP}")
        namespace, account = service_account(user.username)
        try:
            identity = SpiffeId.of(self._trust_domain(), namespace, account)
        except ValueError as error:
            raise TokenError(str(error)) from None
        place = "" if server is self._servers("") else f"@{credentials.cluster}"
        holder, details = _pod(user.extra or {}, namespace, place)
        return Caller((str(identity),), self.name, holder, details | {"cluster": credentials.cluster})

    async def _reviewed(self, server: Connection, token: str) -> _Status:
        """The server's verdict; one that is being restarted is asked again. Raises `TokenError`."""
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": self._audiences},
        }
        turns = self._turns.setdefault(server, asyncio.Semaphore(AT_ONCE))
        for pause in (*_PAUSES, None):
            try:
                async with turns:
                    answer = await server.ask("POST", _PATH, review, patience=_PATIENCE, largest=_LARGEST)
                return msgspec.json.decode(answer, type=_Review).status
            except msgspec.DecodeError as error:
                raise TokenError(f"the API server answered no review: {error}") from None
            except Trouble as trouble:
                if pause is None or (isinstance(trouble, Refused) and 400 <= trouble.status < 429):
                    self._count("failed")
                    raise TokenError(f"the API server could not be asked: {trouble}") from None
            await asyncio.sleep(pause)
        raise AssertionError("the last try answers or raises")


def _pod(extra: Mapping[str, tuple[str, ...] | None], namespace: str, place: str) -> tuple[str, dict[str, str]]:
    """The proxy of the Pod that a token is bound to, and what else is known of it; nothing if it is bound to none.

    Pods of other clusters go by other names, as `sources.kubernetes.foreign` gives them: one there may be called as one
    here, and its API server may say what it likes.
    """
    names, uids = (extra.get(_POD + key) or () for key in ("name", "uid"))
    if len(names) != 1 or not 0 < len(names[0]) <= _LONGEST_NAME:
        return "", {}
    details = {"pod": names[0]} | ({"uid": uids[0]} if len(uids) == 1 else {})
    return f"{names[0]}{place}.{namespace}", details
