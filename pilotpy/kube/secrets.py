"""Secrets of the control plane's own: the keys that it made, as `istio-ca-secret`, and somebody else's, as `cacerts`.

Two replicas that start where there is no root make one: whoever creates the Secret first wins, the other reads it.
Writes are for the version that was read, or they are refused. Keys are never logged, nor held longer than needed.

Source  security/pkg/pki/ca/ca.go and pilot/pkg/bootstrap/istio_ca.go of istio/istio (names, type, what is read back).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from pilotpy.kube.blocking import Blocking
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.trouble import Refused, Trouble
from pilotpy.sources.kubernetes.wire import Wire
from pilotpy_ca.errors import Conflict, StorageError
from pilotpy_ca.plugged_in import PluggedIn, any_plugged_in, plugged_in
from pilotpy_ca.storage import Stored

ROOT_SECRET: Final = "istio-ca-secret"  # noqa: S105 - the name of one
PLUGGED_IN_SECRET: Final = "cacerts"  # noqa: S105 - likewise a name
_TYPE: Final = "istio.io/ca-root"
_OURS: Final = frozenset({"journal.json", "ca-key.pem", "ca-cert.pem"})
_EMPTY: Final = ("cert-chain.pem", "key.pem")  # keys that istiod writes too, with nothing in them
_NOT_FOUND, _CONFLICT = 404, 409


class Unheard(StorageError):
    """The API server could not be asked: what is stored there is not known."""


class _Version(Wire, frozen=True):
    resource_version: str = ""


class _Secret(msgspec.Struct, frozen=True):
    metadata: _Version
    data: Mapping[str, bytes] | None = None

    def __repr__(self) -> str:
        return f"_Secret(version={self.metadata.resource_version}, keys={sorted(self.data or ())})"


NOTHING: Final = Stored({}, "")


def path(namespace: str, name: str = "") -> str:
    """Where a Secret is, or all of a namespace."""
    return f"/api/v1/namespaces/{namespace}/secrets" + (f"/{name}" if name else "")


async def read(connection: Connection, namespace: str, name: str) -> Stored:
    """What a Secret holds now; nothing, and no version, if there is none. Raises `Trouble`, `StorageError`."""
    try:
        return stored(await connection.ask("GET", path(namespace, name)))
    except Refused as refused:
        if refused.status == _NOT_FOUND:
            return NOTHING
        raise


class SecretStorage:
    """The keys of an authority in a Secret; see `pilotpy_ca.storage.Storage`."""

    def __init__(self, server: Blocking, namespace: str, name: str = ROOT_SECRET) -> None:
        self._server = server
        self._namespace = namespace
        self._name = name

    def load(self) -> Stored:
        """All files. Raises `Unheard`; `StorageError` if the Secret is somebody else's, and not to be overwritten."""
        try:
            found = stored(self._server.ask("GET", path(self._namespace, self._name)))
        except Refused as refused:
            if refused.status != _NOT_FOUND:
                raise Unheard(f"Secret {self._name} cannot be read: {refused}") from None
            return NOTHING
        except Trouble as trouble:
            raise Unheard(f"Secret {self._name} cannot be read: {trouble}") from None
        if found.files and not found.files.keys() & _OURS:
            held = ", ".join(sorted(found.files))
            raise StorageError(f"Secret {self._name} holds {held}, but no keys of an authority; it is left alone")
        return found

    def save(self, files: Mapping[str, bytes], after: str) -> str:
        """See `Storage`. What stands in the version is the Secret's resourceVersion, "" for none."""
        metadata = {"name": self._name, "namespace": self._namespace} | ({"resourceVersion": after} if after else {})
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": _TYPE,
            "metadata": metadata,
            "data": {name: b64encode(files.get(name, b"")).decode() for name in (*files, *_EMPTY)},
        }
        method, name = ("PUT", self._name) if after else ("POST", "")
        try:
            return stored(self._server.ask(method, path(self._namespace, name), body)).version
        except Refused as refused:
            if refused.status == _CONFLICT:
                raise Conflict(f"Secret {self._name}: somebody else wrote it first") from None
            raise Unheard(f"Secret {self._name} cannot be written: {refused}") from None
        except Trouble as trouble:
            raise Unheard(f"Secret {self._name} cannot be written: {trouble}") from None


class PluggedInSecret:
    """A signer in a Secret; see `pilotpy_ca.plugged_in.PluggedInSource`. Whoever watches the Secret tells it."""

    def __init__(self, name: str, files: Mapping[str, bytes]) -> None:
        self.name = f"Secret {name}"
        self._files = dict(files)
        self._seen: dict[str, bytes] | None = None

    def tell(self, files: Mapping[str, bytes]) -> None:
        """This is what it holds now."""
        self._files = dict(files)

    def present(self) -> bool:
        """Whether there is any of the files."""
        return any_plugged_in(self._files)

    def load(self, now: datetime) -> PluggedIn:
        """The set as it is now. Raises `BundleError`, which names the file."""
        self._seen = self._files
        return plugged_in(self._files, now)

    def changed(self) -> bool:
        """Whether the files differ from those of the last `load`."""
        return self._files != self._seen


def stored(answer: bytes | msgspec.Raw) -> Stored:
    """What a Secret holds, in the JSON of the API server; empty files do not count. Raises `StorageError`."""
    try:
        secret = _DECODER.decode(answer)
    except msgspec.DecodeError as error:
        raise StorageError(f"not a Secret: {error}") from None
    return Stored(
        {name: content for name, content in (secret.data or {}).items() if content}, secret.metadata.resource_version
    )


_DECODER: Final = msgspec.json.Decoder(_Secret)
