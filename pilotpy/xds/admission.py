"""Who may open a stream, and who says what: the first steps of every ADS stream.

Source: pilot/pkg/xds/ads.go (initConnection, WaitForRequestLimit).
"""

from __future__ import annotations

import asyncio
from typing import Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message

from pilotpy.mesh.service import Locality
from pilotpy.mesh.view import Identity
from pilotpy.ops.clock import Clock
from pilotpy.xds.publication import Node
from pilotpy.xds.resource_type import BY_URL, DEBUG_URL
from pilotpy.xds.transport import Code, Refusal
from pilotpy_protos.envoy.config.core.v3.base_pb2 import Node as NodeMessage
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DiscoveryRequest

_LONGEST_WAIT: Final = 1.0  # seconds that a new stream may stand in line
_LONGEST_ID: Final = 1024  # twice what Kubernetes' longest names make


class Gate:
    """Lets so many new streams in a second, and turns away those that would wait too long."""

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._gap = 1.0 / per_second if per_second > 0 else 0.0
        self._clock = clock
        self._next: float = 0.0

    async def enter(self) -> None:
        """Wait for one's turn. Raises `Refusal`."""
        now = self._clock.moment()
        turn = max(self._next, now)
        if turn - now > _LONGEST_WAIT:
            raise Refusal(Code.RESOURCE_EXHAUSTED, "too many new streams at once, try again later")
        self._next = turn + self._gap
        if turn > now:
            await asyncio.sleep(turn - now)


def request_in(message: bytes, *, incremental: bool) -> DiscoveryRequest | DeltaDiscoveryRequest:
    """The request in a message. Raises `Refusal` if it is none."""
    of: type[DiscoveryRequest | DeltaDiscoveryRequest] = DeltaDiscoveryRequest if incremental else DiscoveryRequest
    try:
        return of.FromString(message)
    except DecodeError as wrong:
        raise Refusal(Code.INVALID_ARGUMENT, f"not a {of.DESCRIPTOR.name}: {wrong}") from None


def check_type(url: str, identity: Identity | None) -> None:
    """Refuse what there is not, and what nobody may ask for without having proved who they are."""
    if url in BY_URL:
        return
    if identity is not None:
        if url.startswith(DEBUG_URL):
            return
        raise Refusal(Code.INVALID_ARGUMENT, f"unknown type {url[:200]!r}")
    if url.startswith(DEBUG_URL):
        raise Refusal(Code.UNAUTHENTICATED, f"{url} needs an authenticated client, ask on the secure port")
    raise Refusal(Code.UNAUTHENTICATED, f"unknown type {url[:200]!r}, and no authenticated client to ask for it")


def node_in(request: DiscoveryRequest | DeltaDiscoveryRequest) -> Node:
    """Who a client says it is, in its first request. Raises `Refusal`."""
    node = request.node
    if not node.id:
        raise Refusal(Code.INVALID_ARGUMENT, "missing node information")
    if len(node.id) > _LONGEST_ID:
        raise Refusal(Code.INVALID_ARGUMENT, f"node id of {len(node.id)} characters, of at most {_LONGEST_ID}")
    locality = node.locality
    return Node(
        node.id,
        _metadata(node),
        Locality(locality.region, locality.zone, locality.sub_zone),
        tuple(extension.name for extension in node.extensions),
    )


def _metadata(node: NodeMessage) -> dict[str, object]:
    try:
        metadata: Message = node.metadata
        return {key: _whole(value) for key, value in MessageToDict(metadata).items()}
    except (ValueError, TypeError, RecursionError) as wrong:  # NaN, or nested without end
        raise Refusal(Code.INVALID_ARGUMENT, f"metadata of node {node.id[:200]!r}: {wrong}") from None


def _whole(value: object) -> object:
    """What was written before a Struct, which knows no integers, made 15000.0 of 15000."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: _whole(one) for key, one in value.items()}
        case list():
            return [_whole(one) for one in value]
        case _:
            return value
