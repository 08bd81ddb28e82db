"""What the controllers of a lab want written, and its way to the API server: in order, each until it is taken.

A write says how things shall be, so that it may be made twice. While the API server is away all of them wait; one that
it refuses for good is told and passed over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from enum import Enum
from random import Random
from typing import Final, NamedTuple

import msgspec

from pilotpy.lab.cluster.objects import Object, api_version, path_of
from pilotpy.model.resource import Ref
from pilotpy.sources.kubernetes.backoff import Backoff
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.trouble import Refused, Trouble

MANAGER: Final = "pilotpy-lab"
"""Who wrote it, in the fields' own account."""

_FIRST, _LONGEST = timedelta(milliseconds=100), timedelta(seconds=2)
_TRIES: Final = 5  # of what is refused, as it may be for now only: an account that is still to come
_GONE, _CONFLICT, _INVALID, _BUSY = 404, 409, 422, 429
_log = logging.getLogger(__name__)


class Verb(Enum):
    """What is done, and in which form it is said."""

    APPLY = "application/apply-patch+yaml"
    MERGE = "application/merge-patch+json"
    CREATE = "application/json"
    DELETE = "DELETE"


class Write(NamedTuple):
    """One request."""

    verb: Verb
    ref: Ref
    body: Object
    subresource: str = ""
    owner: Ref | None = None  # what it belongs to, written before it


class Writer:
    """Sends writes. All calls come from one event loop."""

    def __init__(
        self, connection: Connection, wrote: Callable[[Ref, str], None], refused: Callable[[Ref], None]
    ) -> None:
        """`wrote`: is told the uid of each object that was applied; `refused`: what was not, and why is in the log."""
        self._connection = connection
        self._wrote = wrote
        self._refused = refused
        self._waiting = asyncio.Queue[Write]()
        self._uids: dict[Ref, str] = {}
        self._backoff = Backoff(Random(), _FIRST, _LONGEST)  # noqa: S311 - pauses need no secrecy

    def put(self, writes: Iterable[Write]) -> None:
        """Have these written after all that wait."""
        for write in writes:
            self._waiting.put_nowait(write)

    async def run(self) -> None:
        """Write what comes, for ever."""
        while True:
            await self._written(await self._waiting.get())
            self._waiting.task_done()

    async def idle(self) -> None:
        """Wait until all is written."""
        await self._waiting.join()

    async def _written(self, write: Write) -> None:
        refused = 0
        self._backoff.reset()
        while True:
            try:
                await self._send(write)
            except Refused as no:
                if no.status in {_GONE, _CONFLICT} and write.verb is not Verb.APPLY:
                    return  # it went, or somebody was faster
                refused += no.status != _BUSY and no.status < 500
                if refused >= _TRIES or no.status == _INVALID:
                    _log.error("%s %s: %s", write.verb.name.lower(), write.ref, no)
                    if write.verb is Verb.APPLY:
                        self._refused(write.ref)
                    return
            except Trouble as trouble:
                _log.debug("%s waits: %s", write.ref, trouble)
            else:
                return
            await asyncio.sleep(self._backoff.pause().total_seconds())

    async def _send(self, write: Write) -> None:
        ref, body, path = write.ref, write.body, path_of(write.ref, write.subresource)
        if write.verb is Verb.DELETE:
            await self._connection.ask("DELETE", path, body)
            return
        if write.verb is Verb.CREATE:
            await self._connection.ask("POST", path, body)
            return
        query = None
        if write.verb is Verb.APPLY:
            query = {"fieldManager": MANAGER, "force": "true"}
            body = {"apiVersion": api_version(ref.kind), "kind": ref.kind} | self._owned(body, write.owner)
        answer = await self._connection.ask("PATCH", path, body, query=query, content=write.verb.value)
        if write.verb is Verb.APPLY:
            uid = msgspec.json.decode(answer)["metadata"]["uid"]
            self._uids[ref] = uid
            self._wrote(ref, uid)

    def know(self, ref: Ref, uid: str) -> None:
        """Take note of an object that may own others."""
        self._uids[ref] = uid

    def _owned(self, body: Object, owner: Ref | None) -> Object:
        if owner is None or owner not in self._uids:
            return body
        reference = {
            "apiVersion": api_version(owner.kind),
            "kind": owner.kind,
            "name": owner.name,
            "uid": self._uids[owner],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return body | {"metadata": body["metadata"] | {"ownerReferences": [reference]}}
