"""One stream between Envoy and the control plane: what passes, what the agent adds, what stops at it. No sockets.

After Envoy's first question for listeners the agent asks for the table of names and for ``ProxyConfig``, the mesh's
roots; it takes the answers itself. All other answers reach Envoy as they came.

Source  istio/istio ``pkg/istio-agent/xds_proxy.go``, ``xds_proxy_delta.go``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError

from pilotpy.agent.inbound_connections import InboundConnections
from pilotpy.xds.resource_type import DEBUG_URL, HEALTH_URL, LISTENER, NAME_TABLE, PROXY_CONFIG
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)
from pilotpy_protos.istio.mesh.v1alpha1.proxy_config_pb2 import ProxyConfig
from pilotpy_protos.istio.networking.nds.v1.nds_pb2 import NameTable

_UNHEALTHY: Final = 500


class Health(NamedTuple):
    """What the application's own check says."""

    healthy: bool
    reason: str = ""


class Taken(NamedTuple):
    """What one message of the control plane leads to."""

    to_envoy: bytes | None = None
    names: NameTable | None = None  # the new table
    roots: tuple[str, ...] | None = None  # the mesh's, as PEM
    answer: bytes | None = None  # to the control plane, to be sent once names and roots are in use


class RelaySession:
    """The state of one stream."""

    def __init__(
        self, inbound: InboundConnections, *, incremental: bool, names: bool = True, roots: bool = True
    ) -> None:
        self._incremental = incremental
        self._wanted = [type_.url for type_, asked in ((NAME_TABLE, names), (PROXY_CONFIG, roots)) if asked]
        self._own = frozenset(self._wanted)
        self._begun = False  # Envoy has asked for listeners
        self._health: Health | None = None  # to be told once it has
        self._inbound = inbound

    def from_envoy(self, message: bytes) -> list[bytes]:
        """What to send to the control plane. Raises ValueError for what is no request."""
        request = self._request(message)
        if self._inbound.is_own(request.response_nonce):
            return []
        out = [message]
        if request.type_url == LISTENER.url and not self._begun:
            self._begun = True
            out += [self._ask(url) for url in self._wanted]
            if self._health is not None:
                out.append(self._told(self._health))
        return out

    def from_plane(self, message: bytes) -> Taken:
        """What comes of a message of the control plane. Raises ValueError for what is no response."""
        response = self._response(message)
        if response.type_url in self._own:
            return self._taken(response)
        if response.type_url.startswith(DEBUG_URL):
            return Taken()
        return Taken(to_envoy=self._inbound.passed(message, response))

    def health(self, health: Health) -> list[bytes]:
        """What to tell the control plane, now or with Envoy's first question for listeners."""
        if not self._begun:
            self._health = health
            return []
        return [self._told(health)]

    def fresh_inbound(self, mark: str) -> bytes | None:
        """What to send Envoy so that it lets go of all TLS connections from others; None while there are none."""
        return self._inbound.fresh(mark, incremental=self._incremental)

    def refused(self, taken: Taken, reason: str) -> bytes:
        """Instead of ``taken.answer``, for names or roots that cannot be used."""
        request = self._request(taken.answer or b"")
        request.error_detail.message = reason
        if isinstance(request, DiscoveryRequest):
            request.version_info = ""
        return request.SerializeToString()

    def _taken(self, response: DiscoveryResponse | DeltaDiscoveryResponse) -> Taken:
        if isinstance(response, DeltaDiscoveryResponse):
            bodies = [resource.resource for resource in response.resources]
            answer = DeltaDiscoveryRequest(
                type_url=response.type_url, response_nonce=response.nonce
            ).SerializeToString()
        else:
            bodies = list(response.resources)
            answer = DiscoveryRequest(
                type_url=response.type_url, response_nonce=response.nonce, version_info=response.version_info
            ).SerializeToString()
        if response.type_url == NAME_TABLE.url:
            return Taken(names=_names(bodies), answer=answer)
        roots = [ProxyConfig.FromString(body.value).ca_certificates_pem for body in bodies]
        return Taken(roots=tuple(pem for each in roots for pem in each), answer=answer)

    def _ask(self, url: str) -> bytes:
        return self._empty(url).SerializeToString()

    def _told(self, health: Health) -> bytes:
        told = self._empty(HEALTH_URL)
        if not health.healthy:
            told.error_detail.code, told.error_detail.message = _UNHEALTHY, health.reason
        return told.SerializeToString()

    def _empty(self, url: str) -> DiscoveryRequest | DeltaDiscoveryRequest:
        return DeltaDiscoveryRequest(type_url=url) if self._incremental else DiscoveryRequest(type_url=url)

    def _request(self, message: bytes) -> DiscoveryRequest | DeltaDiscoveryRequest:
        try:
            return (DeltaDiscoveryRequest if self._incremental else DiscoveryRequest).FromString(message)
        except DecodeError as broken:
            raise ValueError("not a discovery request") from broken

    def _response(self, message: bytes) -> DiscoveryResponse | DeltaDiscoveryResponse:
        try:
            return (DeltaDiscoveryResponse if self._incremental else DiscoveryResponse).FromString(message)
        except DecodeError as broken:
            raise ValueError("not a discovery response") from broken


def _names(bodies: list[Any]) -> NameTable:
    table = NameTable()
    for body in bodies:
        table.MergeFromString(body.value)
    return table
