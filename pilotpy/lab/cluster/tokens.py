"""Tokens of service accounts as files, as a kubelet projects them: asked for at the API server, and anew in good time.

Source: kubernetes pkg/kubelet/token/token_manager.go (a token is asked for anew once a fifth of its life is left).
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import msgspec

from pilotpy.lab.cluster.objects import Object, path_of
from pilotpy.model.resource import Ref
from pilotpy.sources.kubernetes.backoff import Backoff
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.trouble import Trouble

_SHARE: Final = 0.8  # of its life, after which it is replaced
_LIFE: Final = timedelta(hours=1)
_SHORTEST: Final = 10.0  # seconds between two tokens, whatever a server grants
_FIRST, _LONGEST = timedelta(milliseconds=100), timedelta(seconds=10)
_log = logging.getLogger(__name__)


class Wanted(NamedTuple):
    """A token to be kept at hand."""

    account: Ref
    file: Path
    audience: str = ""  # "": the API server's own
    pod: Ref | None = None  # that it is bound to, and ends with
    uid: str = ""  # of the Pod


class Tokens:
    """All tokens that are kept at hand. All calls come from one event loop."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keeping: dict[Wanted, asyncio.Task[None]] = {}

    def keep(self, wanted: set[Wanted]) -> None:
        """Keep exactly these."""
        for one in self._keeping.keys() - wanted:
            self._keeping.pop(one).cancel()
            one.file.unlink(missing_ok=True)
        for one in wanted - self._keeping.keys():
            self._keeping[one] = asyncio.create_task(self._keep(one))

    async def stop(self) -> None:
        """Keep none any more."""
        tasks = list(self._keeping.values())
        self.keep(set())
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, one: Wanted) -> None:
        backoff = Backoff(Random(), _FIRST, _LONGEST)  # noqa: S311 - pauses need no secrecy
        while True:
            try:
                life = await self.fetch(one)
            except (Trouble, OSError) as trouble:
                _log.warning("%s has no token of %s: %s", one.pod or one.file, one.account, trouble)
                await asyncio.sleep(backoff.pause().total_seconds())
            else:
                backoff.reset()
                await asyncio.sleep(max(_SHORTEST, _SHARE * life.total_seconds()))

    async def fetch(self, one: Wanted) -> timedelta:
        """Write a token now. Returns how long it is good. Raises Trouble, OSError."""
        spec: Object = {
            "audiences": [one.audience] if one.audience else [],
            "expirationSeconds": int(_LIFE.total_seconds()),
        }
        if one.pod is not None:
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": one.pod.name, "uid": one.uid}
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = path_of(one.account, "token")
        status = msgspec.json.decode(await self._connection.ask("POST", path, asked))["status"]
        _write(one.file, status["token"])
        ends = msgspec.convert(status["expirationTimestamp"], datetime)
        return timedelta(seconds=ends.timestamp() - time.time())


def _write(file: Path, text: str) -> None:
    """As a whole, for nobody else to read."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(text)
    new.replace(file)
