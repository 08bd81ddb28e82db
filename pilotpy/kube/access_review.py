"""Whether a workload may read Secrets: its cluster's API server is asked, before the first that it is given, and again.

What was allowed counts for some minutes, what was not for one; while the server cannot be asked, what it said last.

Source  pilot/pkg/credentials/kube/secrets.go of istio/istio; kubernetes/api authorization/v1.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Final, NamedTuple

import msgspec

from pilotpy.kube.token_review import Servers
from pilotpy.mesh.view import Identity
from pilotpy.ops.logs import fields
from pilotpy.sources.kubernetes.backoff import Backoff
from pilotpy.sources.kubernetes.trouble import Trouble, Unreachable
from pilotpy.sources.kubernetes.wire import Wire

_LOG: Final = logging.getLogger("pilotpy.secrets")
_PATH: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_LARGEST: Final = 1 << 20  # bytes of a review: other clusters may mean no good
_PATIENCE: Final = timedelta(seconds=4)
_PAUSES: Final = timedelta(milliseconds=250), timedelta(seconds=30)  # after a first failure; at most

Tell = Callable[[Identity, bool | None], Awaitable[None]]
"""Passes on what is known of an identity, None if nothing is any more; returns once it counts."""


class Rhythm(NamedTuple):
    """How long an answer counts."""

    allowed: timedelta = timedelta(minutes=5)
    denied: timedelta = timedelta(minutes=1)


class _Status(Wire, frozen=True):
    allowed: bool = False
    denied: bool = False


class _Review(Wire, frozen=True):
    status: _Status = _Status()


class AccessReviews:
    """Reviews those who ask for Secrets, as long as they are connected. Implements `Reviewing`; of one event loop."""

    def __init__(
        self,
        servers: Servers,
        tell: Tell,
        count: Callable[[str], None],
        random: Random,
        rhythm: Rhythm | None = None,
    ) -> None:
        """`count` is told of each review: "allowed", "denied" or "failed"."""
        self._servers = servers
        self._tell = tell
        self._count = count
        self._random = random
        self._rhythm = rhythm or Rhythm()
        self._users: dict[str, Identity] = {}  # by the id of their connection
        self._known: dict[Identity, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def reviewed(self, connection: str, identity: Identity) -> None:
        """Wait until it is known what a connection's identity may, but no longer than a review takes."""
        self._users[connection] = identity
        known = self._known.get(identity)
        if known is None:
            known = self._known[identity] = asyncio.Event()
            task = asyncio.create_task(self._keep(identity, known), name=f"review {identity}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                await known.wait()

    def left(self, connection: str) -> None:
        """A connection has ended."""
        self._users.pop(connection, None)

    async def close(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, identity: Identity, known: asyncio.Event) -> None:
        """Review an identity until nobody of it is connected."""
        before, backoff = None, Backoff(self._random, *_PAUSES)
        while identity in self._users.values():
            try:
                allowed = await self._allowed(identity)
            except Trouble as trouble:
                self._count("failed")
                _LOG.warning("access not reviewed", extra=fields(identity=str(identity), reason=str(trouble)))
                await asyncio.sleep(backoff.pause().total_seconds())
                continue
            self._count("allowed" if allowed else "denied")
            backoff.reset()
            if allowed != before:
                await self._tell(identity, allowed)
                before = allowed
            known.set()
            await asyncio.sleep((self._rhythm.allowed if allowed else self._rhythm.denied).total_seconds())
        del self._known[identity]
        known.set()  # who waits has left, too
        await self._tell(identity, None)

    async def _allowed(self, identity: Identity) -> bool:
        """The server's verdict. Raises `Trouble`."""
        namespace, account, cluster = identity
        if (server := self._servers(cluster)) is None:
            raise Unreachable(f"nothing is known of a cluster {cluster[:200]!r}")
        spec = {
            "user": f"system:serviceaccount:{namespace}:{account}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"],
            "resourceAttributes": {"namespace": namespace, "verb": "list", "resource": "secrets"},
        }
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = await server.ask("POST", _PATH, review, patience=_PATIENCE, largest=_LARGEST)
        try:
            status = msgspec.json.decode(answer, type=_Review).status
        except msgspec.DecodeError as error:
            raise Unreachable(f"not a review: {error}") from error
        return status.allowed and not status.denied
