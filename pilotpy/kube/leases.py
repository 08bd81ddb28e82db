"""Who of several replicas does what only one may do: leader election by a Lease.

Never two at a time: a leader that has not managed to renew its lease for `deadline` stops, and nobody takes a lease
over before it has watched it unrenewed for its whole `duration`, which is longer. Both measure by their own monotonic
clocks from what they did or saw themselves, so it does not matter what time of day anybody thinks it is.

Source  kubernetes/client-go tools/leaderelection, kubernetes/api coordination/v1; timing as in istiod.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from pilotpy.ops.logs import fields
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.trouble import Refused, Trouble, Unreachable
from pilotpy.sources.kubernetes.wire import Wire

_LOG: Final = logging.getLogger("pilotpy.leases")
_NOT_FOUND, _CONFLICT = 404, 409


class Terms(NamedTuple):
    """For how long a lease is held. duration > deadline > retry."""

    duration: timedelta = timedelta(seconds=30)  # unrenewed for as long, others may take it; whole seconds
    deadline: timedelta = timedelta(seconds=15)  # unrenewed for as long, its holder stops
    retry: timedelta = timedelta(seconds=7.5)  # between renewals, and between looks of those who wait


class _Metadata(Wire, frozen=True):
    resource_version: str = ""


class _Spec(Wire, frozen=True):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    lease_transitions: int | None = None
    acquire_time: str | None = None


class _Lease(Wire, frozen=True):
    metadata: _Metadata
    spec: _Spec = _Spec()


class Lease:
    """One lease, for one who would hold it. `holder` must be nobody else's name, nor that of an earlier process."""

    def __init__(
        self, connection: Connection, namespace: str, name: str, holder: str, terms: Terms | None = None
    ) -> None:
        self.name = name
        self.holder = holder
        self.terms = terms or Terms()
        self._connection = connection
        self._namespace = namespace
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._moment = asyncio.get_running_loop().time
        self._until = float("-inf")  # we lead until then, unless we renew
        self._seen = ""  # the version of the lease that was seen last
        self._free_at = float("-inf")  # when it may be taken over, as far as is known

    @property
    def held(self) -> bool:
        """Whether this one leads. To be asked before each write: a process may have stood still since."""
        return self._moment() < self._until

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work whenever this one leads, and stop it when it no longer does; for ever.

        When it is cancelled, or the work fails, the lease is given back at once.
        """
        try:
            while True:
                if await self._tried():
                    await self._while_held(work)
                await asyncio.sleep(self.terms.retry.total_seconds())
        finally:
            await asyncio.shield(self._release())

    async def _while_held(self, work: Callable[[], Awaitable[None]]) -> None:
        _LOG.info("leading", extra=fields(lease=self.name, holder=self.holder))
        working = asyncio.ensure_future(work())
        renewing = asyncio.ensure_future(self._renewed_for_ever())
        try:
            await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            for task in (working, renewing):
                task.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)
            _LOG.info("not leading any more", extra=fields(lease=self.name, holder=self.holder))

    async def _renewed_for_ever(self) -> None:
        """Renew the lease, until it is lost."""
        while self.held:
            await asyncio.sleep(min(self.terms.retry.total_seconds(), self._until - self._moment()))
            if self.held:
                await self._tried()

    async def _tried(self) -> bool:
        """Take or renew the lease if that is possible; whether this one leads."""
        left = self._until - self._moment() if self.held else self.terms.deadline.total_seconds()
        try:
            async with asyncio.timeout(left):
                return await self._taken()
        except (Trouble, TimeoutError) as trouble:
            _LOG.warning("lease not reached", extra=fields(lease=self.name, reason=str(trouble) or "no answer in time"))
            return self.held

    async def _taken(self) -> bool:
        found = await self._read()
        if found is None:  # a lease that somebody deleted may still be held
            return self._moment() >= self._free_at and await self._write("POST", self._collection, "", _Spec())
        if found.metadata.resource_version != self._seen:
            self._seen = found.metadata.resource_version
            theirs = found.spec.holder_identity not in {None, "", self.holder}
            promised = found.spec.lease_duration_seconds or self.terms.duration.total_seconds()
            self._free_at = self._moment() + promised if theirs else float("-inf")
            if theirs:
                self._until = float("-inf")
        if self._moment() < self._free_at:
            return False
        return await self._write("PUT", f"{self._collection}/{self.name}", self._seen, found.spec)

    async def _read(self) -> _Lease | None:
        try:
            answer = await self._connection.ask("GET", f"{self._collection}/{self.name}")
        except Refused as refused:
            if refused.status == _NOT_FOUND:
                return None
            raise
        return _decoded(answer)

    async def _write(self, method: str, path: str, version: str, before: _Spec) -> bool:
        """Write this one's name into the lease of a version; False if somebody else was faster."""
        asked = self._moment()
        changed = before.holder_identity != self.holder
        now = _now()
        spec = {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": int(self.terms.duration.total_seconds()),
            "acquireTime": now if changed else before.acquire_time or now,
            "renewTime": now,
            "leaseTransitions": (before.lease_transitions or 0) + (changed and bool(version)),
        }
        try:
            answer = await self._connection.ask(method, path, self._object(version, spec))
        except Refused as refused:
            if refused.status != _CONFLICT:
                raise
            return False
        self._seen, self._free_at = _decoded(answer).metadata.resource_version, float("-inf")
        self._until = asked + self.terms.deadline.total_seconds()
        return True

    async def _release(self) -> None:
        """Let others have it now. Whatever fails, it ends by itself."""
        if not self.held:
            return
        self._until = float("-inf")
        spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
        with suppress(Trouble):
            await self._connection.ask(
                "PUT", f"{self._collection}/{self.name}", self._object(self._seen, spec), patience=timedelta(seconds=2)
            )

    def _object(self, version: str, spec: dict[str, Any]) -> dict[str, Any]:
        metadata = {"name": self.name, "namespace": self._namespace}
        if version:
            metadata["resourceVersion"] = version
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _decoded(answer: bytes) -> _Lease:
    try:
        return msgspec.json.decode(answer, type=_Lease)
    except msgspec.DecodeError as error:
        raise Unreachable(f"not a lease: {error}") from error


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
