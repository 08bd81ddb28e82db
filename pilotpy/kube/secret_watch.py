"""One Secret, followed: what it holds now, and whenever that changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random
from typing import Final

import msgspec

from pilotpy.kube.secrets import NOTHING, stored
from pilotpy.model.resource import Meta, Ref, Resource
from pilotpy.ops.logs import fields
from pilotpy.sources.kubernetes.collection import Collection
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.list_watch import Happened, ListWatch, Timing
from pilotpy.sources.kubernetes.trouble import Trouble
from pilotpy.sources.kubernetes.wire import Event, Read
from pilotpy_ca.errors import StorageError
from pilotpy_ca.storage import Stored

_LOG: Final = logging.getLogger("pilotpy.secrets")


class SecretWatch:
    """Tells of one Secret. Implements `Listener`."""

    def __init__(self, namespace: str, name: str, heard: Callable[[Stored], None]) -> None:
        self._ref = Ref("Secret", namespace, name)
        self._heard = heard
        self._found = NOTHING

    async def run(self, connection: Connection, random: Random, count: Callable[[Happened], None]) -> None:
        """Follow it, for ever."""
        place = f"metadata.name={self._ref.name},metadata.namespace={self._ref.namespace}"
        collection = Collection("Secret", "", ("v1",), "secrets", self._read, field_selector=place)
        await ListWatch(connection, collection, self, timing=Timing(), random=random, count=count).run()

    def listed(self, objects: list[Read]) -> None:
        """See `Listener`: the Secret, or none."""
        if not objects:
            self._found = NOTHING
        self._heard(self._found)

    def watched(self, events: list[Event]) -> None:
        """See `Listener`."""
        for event in events:
            if event.type == "DELETED":
                self._found = NOTHING
            else:
                self._read(event.object)
            self._heard(self._found)

    def troubled(self, trouble: Trouble) -> None:
        """See `Listener`: what was heard last still counts."""
        _LOG.warning("not watched", extra=fields(of=str(self._ref), reason=str(trouble)))

    def _read(self, text: bytes | msgspec.Raw) -> Read:
        """Keep what it holds; what it holds is keys, so it goes no other way than this."""
        try:
            self._found = stored(text)
        except StorageError as error:
            _LOG.error("not read", extra=fields(of=str(self._ref), reason=str(error)))
        return Read(self._ref, Resource(self._ref, Meta(name=self._ref.name), None))
