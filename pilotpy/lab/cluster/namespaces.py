"""In place of the namespace controller: a namespace that is deleted is emptied, and then let go.

Source: kubernetes pkg/controller/namespace/deletion/namespaced_resources_deleter.go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.trouble import Refused, Trouble

_LOOK_AGAIN: Final = 0.3  # seconds
_log = logging.getLogger(__name__)


class Emptying:
    """The namespaces that are going. All calls come from one event loop."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._going: dict[str, asyncio.Task[None]] = {}

    def begin(self, namespace: str) -> None:
        """Have a namespace emptied and let go, if it is not under way."""
        if namespace not in self._going:
            self._going[namespace] = task = asyncio.create_task(self._empty(namespace))
            task.add_done_callback(lambda _: self._going.pop(namespace, None))

    async def stop(self) -> None:
        """Leave off."""
        tasks = list(self._going.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _empty(self, namespace: str) -> None:
        while True:
            try:
                left = [path async for path in self._left(namespace)]
                for path in left:
                    await self._connection.ask("DELETE", path, {"propagationPolicy": "Background"})
                if not left:
                    await self._let_go(namespace)
                    return
            except Refused as refused:
                if refused.status == 404:  # it is gone
                    return
                _log.warning("namespace %s cannot be emptied: %s", namespace, refused)
            except Trouble as trouble:
                _log.debug("namespace %s waits: %s", namespace, trouble)
            await asyncio.sleep(_LOOK_AGAIN)

    async def _left(self, namespace: str) -> AsyncIterator[str]:
        """The collections in which it still has something."""
        for root in await self._roots():
            for each in (await self._read(root)).get("resources") or ():
                if each["namespaced"] and {"list", "deletecollection"} <= set(each["verbs"]):
                    path = f"{root}/namespaces/{namespace}/{each['name']}"
                    if (await self._read(f"{path}?limit=1")).get("items"):
                        yield path

    async def _roots(self) -> list[str]:
        groups = (await self._read("/apis"))["groups"]
        return ["/api/v1", *(f"/apis/{one['preferredVersion']['groupVersion']}" for one in groups)]

    async def _let_go(self, namespace: str) -> None:
        path = f"/api/v1/namespaces/{namespace}"
        found = await self._read(path)
        await self._connection.ask("PUT", f"{path}/finalize", found | {"spec": {"finalizers": []}})

    async def _read(self, path: str) -> dict[str, Any]:
        return dict(msgspec.json.decode(await self._connection.ask("GET", path)))
