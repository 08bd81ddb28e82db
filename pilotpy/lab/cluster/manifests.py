"""Files of manifests, written to an API server as `kubectl apply --server-side` does, and again when they are edited.

What is no longer in a file stays in the cluster, as with kubectl. Source: API concepts (server-side apply, discovery).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from pilotpy.lab.cluster.made import counts_as
from pilotpy.lab.cluster.objects import Object
from pilotpy.lab.cluster.writes import MANAGER, Verb
from pilotpy.schema.documents import documents
from pilotpy.sources.disk import Disk
from pilotpy.sources.folder import Folder
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.trouble import Refused, Trouble

_FIRST: Final = ("Namespace", "CustomResourceDefinition", "ServiceAccount", "ConfigMap")
_PATIENCE: Final = timedelta(seconds=15)  # until a kind that was just defined is served
_LOOK_AGAIN: Final = 0.1  # seconds
_PAUSE: Final = 2.0  # seconds
_NOT_FOUND, _BUSY, _FAILED = 404, 429, 500
_log = logging.getLogger(__name__)


class Manifests:
    """Files and folders, and the API server that they are written to."""

    def __init__(self, roots: Iterable[str], connection: Connection) -> None:
        self._roots = tuple(map(Path, roots))
        self._connection = connection
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}  # apiVersion, kind -> plural, namespaced
        self._written: dict[tuple[str, ...], bytes] = {}
        self._folder = Folder(self._roots)
        self.findings = self._folder.findings

    async def run(self) -> None:
        """Write them now and whenever they are edited, for ever."""
        if not self._roots:
            return
        async for _ in self._folder.watch():
            self.findings = self._folder.findings
            while not await self.apply(self._objects()):  # noqa: ASYNC110 - each round is a try
                await asyncio.sleep(_PAUSE)

    async def apply(self, objects: Sequence[Object]) -> bool:
        """Write objects that say something new; one that is refused is told, and the others are written.

        Returns whether that was the last word: False if the API server could not say yes or no.
        """
        for one in sorted(objects, key=_turn):
            metadata = one.get("metadata") or {}
            name = tuple(str(part) for part in (one.get("kind"), metadata.get("namespace", ""), metadata.get("name")))
            if self._written.get(name) == (said := counts_as(one)):
                continue
            try:
                await self._apply(one)
            except Refused as refused:
                _log.warning("%s %s/%s is not written: %s", *name, refused)
                if refused.status == _BUSY or refused.status >= _FAILED:
                    return False
                self._written[name] = said  # until it says something else
            except Trouble as trouble:
                _log.warning("%s %s/%s waits: %s", *name, trouble)
                return False
            else:
                self._written[name] = said
        return True

    async def _apply(self, one: Object) -> None:
        query = {"fieldManager": MANAGER, "force": "true"}
        try:
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                path = await self._path(one)
        except TimeoutError:
            raise Refused(_NOT_FOUND, "the API server knows no such kind") from None
        await self._connection.ask("PATCH", path, one, query=query, content=Verb.APPLY.value)

    async def _path(self, one: Object) -> str:
        """Where an object is, once its kind is served. Raises Trouble."""
        version, kind = str(one["apiVersion"]), str(one["kind"])
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        while (version, kind) not in self._plurals:
            try:
                found = msgspec.json.decode(await self._connection.ask("GET", root))["resources"]
            except Refused as refused:
                if refused.status != _NOT_FOUND:
                    raise
                found = []
            for each in found:
                if "/" not in each["name"]:
                    self._plurals[version, each["kind"]] = each["name"], bool(each["namespaced"])
            if (version, kind) not in self._plurals:
                await asyncio.sleep(_LOOK_AGAIN)
        plural, namespaced = self._plurals[version, kind]
        scope = f"/namespaces/{one['metadata'].get('namespace') or 'default'}" if namespaced else ""
        return f"{root}{scope}/{plural}/{one['metadata']['name']}"

    def _objects(self) -> list[Object]:
        contents = Disk(self._roots).look().contents
        read = (documents(content.text, str(path)) for path, content in sorted(contents.items()) if not content.refused)
        return [document.raw for each in read for document in each.objects if _is_object(document.raw)]


def _is_object(raw: Any) -> bool:
    return all(isinstance(raw.get(key), str) for key in ("apiVersion", "kind")) and bool(
        isinstance(raw.get("metadata"), dict) and raw["metadata"].get("name")
    )


def _turn(one: Object) -> int:
    kind = one.get("kind")
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST)
