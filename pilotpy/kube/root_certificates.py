"""The roots of the mesh in every namespace, as ConfigMap `istio-ca-root-cert`: by it Pods know whom to show a token.

Made where it is missing, put right where somebody changed it.

Source  pilot/pkg/serviceregistry/kube/controller/namespacecontroller.go of istio/istio.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from pilotpy.model.resource import Meta, Resource
from pilotpy.ops.logs import fields
from pilotpy.sources.kubernetes.backoff import Backoff
from pilotpy.sources.kubernetes.collection import Collection
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.list_watch import ListWatch, Timing
from pilotpy.sources.kubernetes.mirror import Mirror
from pilotpy.sources.kubernetes.trouble import Refused, Trouble
from pilotpy.sources.kubernetes.wire import Event, Metadata, Read, Wire, named, versioned

NAME: Final = "istio-ca-root-cert"
KEY: Final = "root-cert.pem"
LEFT_OUT: Final = frozenset({"kube-public", "kube-node-lease", "local-path-storage"})
"""Namespaces that no workload of a mesh is in."""

_LOG: Final = logging.getLogger("pilotpy.roots")
_LABELS: Final = {"istio.io/config": "true"}
_MERGE: Final = "application/merge-patch+json"
_AT_ONCE: Final = 8  # writes
_PAUSES: Final = timedelta(milliseconds=250), timedelta(seconds=30)  # after a first failure; at most
_NO_MATTER: Final = frozenset({404, 409})  # the namespace is gone, somebody else was faster: the watches will tell
_FORBIDDEN: Final = 403


class _State(NamedTuple):
    """A namespace, as far as it matters here."""

    labels: Mapping[str, str]
    terminating: bool


class _Held(NamedTuple):
    """The ConfigMap of a namespace."""

    version: str
    roots: str | None
    labelled: bool


class _ConfigMap(Wire, frozen=True):
    metadata: Metadata
    data: dict[str, str] | None = None


class Rules(NamedTuple):
    """What is to be where. All of it is asked whenever it matters."""

    roots: Callable[[], str]  # PEM
    selected: Callable[[Mapping[str, str]], bool] = lambda labels: True  # noqa: ARG005  # namespaces, by their labels
    allowed: Callable[[], bool] = lambda: True  # whether this process may write now


class RootCertificates:
    """Keeps the roots in all namespaces, as long as `run` runs: one process of a cluster at a time."""

    def __init__(
        self, connection: Connection, rules: Rules, random: Random, count: Callable[[str], None], timing: Timing
    ) -> None:
        """`count` is told of each write: "created", "restored" or "failed"."""
        self._connection = connection
        self._rules = rules
        self._random = random
        self._count = count
        self._timing = timing
        self._news = asyncio.Event()
        self._namespaces = _Seen(_NAMESPACES, self._doubt, self._news.set)
        self._held = _Seen(_CONFIG_MAPS, self._doubt, self._news.set)
        self._doubtful: dict[str, None] = {}  # namespaces to look at, the oldest doubt first
        self._failures: dict[str, Backoff] = {}

    def look_again(self) -> None:
        """The roots are others, or other namespaces are selected."""
        for namespace in self._namespaces.objects:
            self._doubt(namespace)

    async def run(self) -> None:
        """Write what differs, for ever."""
        async with asyncio.TaskGroup() as tasks:
            for seen in (self._namespaces, self._held):
                watch = ListWatch(
                    self._connection,
                    seen.collection,
                    seen,
                    timing=self._timing,
                    random=self._random,
                    count=lambda _: None,
                )
                tasks.create_task(watch.run(), name=f"roots: {seen.collection.name}")
            for number in range(_AT_ONCE):
                tasks.create_task(self._mend(), name=f"roots: writer {number}")

    def _doubt(self, namespace: str) -> None:
        self._doubtful[namespace] = None
        self._news.set()

    async def _mend(self) -> None:
        while True:
            # Before both are listed everything would look missing.
            while not (self._doubtful and self._namespaces.is_listed and self._held.is_listed):
                self._news.clear()
                await self._news.wait()
            namespace = next(iter(self._doubtful))
            del self._doubtful[namespace]
            try:
                await self._put_right(namespace)
            except Trouble as trouble:
                self._failed(namespace, trouble)
            else:
                self._failures.pop(namespace, None)

    async def _put_right(self, namespace: str) -> None:
        """Write the ConfigMap of a namespace if it is to be there and is not, or not as it is to be."""
        state, roots = self._namespaces.objects.get(namespace), self._rules.roots()
        if state is None or not self._wanted(namespace, state) or not roots:
            return
        held = self._held.objects.get(namespace)
        if (held is not None and held.roots == roots and held.labelled) or not self._rules.allowed():
            return
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        metadata: dict[str, Any] = {"name": NAME, "labels": _LABELS}
        whole = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: roots}}
        try:
            if held is None:
                await self._connection.ask("POST", path, whole)
                self._count("created")
            else:
                metadata["resourceVersion"] = held.version  # not over what nobody here has seen yet
                await self._connection.ask("PATCH", f"{path}/{NAME}", whole, content=_MERGE)
                self._count("restored")
        except Refused as refused:
            going = refused.status == _FORBIDDEN and "being terminated" in str(refused)
            if refused.status not in _NO_MATTER and not going:
                raise

    def _wanted(self, namespace: str, state: _State) -> bool:
        return namespace not in LEFT_OUT and not state.terminating and self._rules.selected(state.labels)

    def _failed(self, namespace: str, trouble: Trouble) -> None:
        """Look at it again, later."""
        self._count("failed")
        backoff = self._failures.setdefault(namespace, Backoff(self._random, *_PAUSES))
        if backoff.failures == 0:
            _LOG.warning("roots not written", extra=fields(namespace=namespace, reason=str(trouble)))
        asked = trouble.retry_after if isinstance(trouble, Refused) else None
        asyncio.get_running_loop().call_later(backoff.pause(asked).total_seconds(), self._doubt, namespace)


class _Seen:
    """What is known of one collection: an object of each namespace. Implements `Listener`."""

    def __init__(self, collection: Collection, doubt: Callable[[str], None], stir: Callable[[], None]) -> None:
        self.collection = collection
        self._stir = stir
        self.is_listed = False
        self.objects: dict[str, Any] = {}
        self._mirror = Mirror(collection)
        self._doubt = doubt

    def listed(self, objects: list[Read]) -> None:
        self.is_listed = True
        self._take(self._mirror.replace(objects))
        self._stir()

    def watched(self, events: list[Event]) -> None:
        self._take(self._mirror.update(events))

    def troubled(self, trouble: Trouble) -> None:
        _LOG.warning("not watched", extra=fields(of=self.collection.name, reason=str(trouble)))

    def _take(self, changes: list[Any]) -> None:
        for change in changes:
            namespace = change.ref.namespace or change.ref.name
            if change.new is None:
                self.objects.pop(namespace, None)
            else:
                self.objects[namespace] = change.new.spec
            self._doubt(namespace)


def _namespace(text: bytes | msgspec.Raw) -> Read:
    metadata = named(text).metadata
    ref = metadata.ref("Namespace")
    state = _State(metadata.labels or {}, metadata.deletion_timestamp is not None)
    return Read(ref, Resource(ref, Meta(name=ref.name), state))


def _config_map(text: bytes | msgspec.Raw) -> Read:
    found, version = _DECODER.decode(text), versioned(text).metadata.resource_version
    ref = found.metadata.ref("ConfigMap")
    labelled = _LABELS.items() <= (found.metadata.labels or {}).items()
    held = _Held(version, (found.data or {}).get(KEY), labelled)
    return Read(ref, Resource(ref, Meta(name=ref.name), held))


_DECODER: Final = msgspec.json.Decoder(_ConfigMap)
_NAMESPACES: Final = Collection("Namespace", "", ("v1",), "namespaces", _namespace)
_CONFIG_MAPS: Final = Collection(
    "ConfigMap", "", ("v1",), "configmaps", _config_map, field_selector=f"metadata.name={NAME}"
)
