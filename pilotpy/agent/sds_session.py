"""One stream of secrets: what Envoy asked for and holds, and what it must be sent. No sockets.

State of the world and incremental. A secret that does not exist yet is sent once it does; what Envoy refused is not
sent again until it changes.

Source  Envoy ``api-docs/xds_protocol``, ``service/secret/v3/sds.proto``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Final

from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError

from pilotpy.agent.secrets import Sealed
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)

SECRETS: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


class SdsSession:
    """The state of one stream."""

    def __init__(self, find: Callable[[str], Sealed | None], *, incremental: bool) -> None:
        self.names: dict[str, str] = {}  # asked for, with the version last sent; "": nothing yet
        self.refusal = ""  # Envoy's words about what it was sent last; empty: it took that
        self._find = find
        self._incremental = incremental
        self._answered = True  # Envoy has said what it thinks of what it was sent last
        self._nonce = ""
        self._nonces = count(1)

    @property
    def is_current(self) -> bool:
        """Envoy was sent the newest of all that it asked for, and took or refused it."""
        return self._answered and not self._is_behind(filter(None, map(self._find, self.names)))

    def asked(self, message: bytes) -> bytes | None:
        """Take a request; returns the answer, if it is owed one. Raises ValueError for what is no request."""
        try:
            return self._asked_delta(message) if self._incremental else self._asked_state(message)
        except DecodeError as broken:
            raise ValueError("not a discovery request") from broken

    def changed(self) -> bytes | None:
        """What to send now that secrets may have changed; None if none that was asked for did."""
        found = list(filter(None, map(self._find, self.names)))
        if not self._is_behind(found):
            return None
        return self._answer(found if not self._incremental else self._news(found))

    def _asked_state(self, message: bytes) -> bytes | None:
        request = DiscoveryRequest.FromString(message)
        if request.response_nonce and request.response_nonce != self._nonce:
            return None
        self._hear(request)
        fresh = [name for name in request.resource_names if name not in self.names]
        self.names = {name: self.names.get(name, "") for name in request.resource_names}
        if not fresh:
            return None
        found = list(filter(None, map(self._find, self.names)))
        return self._answer(found) if found else None

    def _asked_delta(self, message: bytes) -> bytes | None:
        request = DeltaDiscoveryRequest.FromString(message)
        if request.response_nonce and request.response_nonce == self._nonce:
            self._hear(request)
        for name in request.resource_names_unsubscribe:
            self.names.pop(name, None)
        for name in request.resource_names_subscribe:
            # One that is asked for again must be answered again, unless Envoy says that it holds it.
            self.names[name] = request.initial_resource_versions.get(name, "")
        news = self._news(filter(None, map(self._find, request.resource_names_subscribe)))
        return self._answer(news) if news else None

    def _hear(self, request: DiscoveryRequest | DeltaDiscoveryRequest) -> None:
        self.refusal = request.error_detail.message
        self._answered = True

    def _is_behind(self, found: Iterable[Sealed]) -> bool:
        return any(self.names[one.name] != one.version for one in found)

    def _news(self, found: Iterable[Sealed]) -> list[Sealed]:
        return [one for one in found if self.names[one.name] != one.version]

    def _answer(self, sent: list[Sealed]) -> bytes:
        self._nonce = str(next(self._nonces))
        self._answered = False
        self.names.update({one.name: one.version for one in sent})
        bodies = [(one, Any(type_url=SECRETS, value=one.body)) for one in sent]
        version = ".".join(one.version for one in sent)
        if not self._incremental:
            return DiscoveryResponse(
                version_info=version, resources=[body for _, body in bodies], type_url=SECRETS, nonce=self._nonce
            ).SerializeToString()
        answer = DeltaDiscoveryResponse(system_version_info=version, type_url=SECRETS, nonce=self._nonce)
        for one, body in bodies:
            answer.resources.add(name=one.name, version=one.version, resource=body)
        return answer.SerializeToString()
