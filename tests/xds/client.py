"""An xDS client for tests and benchmarks: reads, checks, ACKs and NACKs, state of the world or incremental.

`Client` is the protocol by hand. `Sidecar` behaves as an Envoy does: clusters, then their endpoints, listeners, then
their routes, an ACK for each response, and it knows what it holds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import grpc
import grpc.aio

from pilotpy.xds.resource_type import CLUSTER, ENDPOINT, IN_ORDER, LISTENER, ROUTE, ResourceType
from pilotpy_protos.envoy.config.listener.v3.listener_pb2 import Listener
from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)

SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
TYPES = {type_.url: type_ for type_ in IN_ORDER}
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
# For what names its own resources: the field with its name, without decoding the rest.
NAME_FIELD = {CLUSTER.url: 1, ENDPOINT.url: 1, LISTENER.url: 1, ROUTE.url: 1}


def node_id(name: str = "web", namespace: str = "default", ip: str = "10.0.0.1") -> str:
    return f"sidecar~{ip}~{name}.{namespace}~{namespace}.svc.cluster.local"


class Client:
    """One ADS stream."""

    def __init__(
        self,
        address: str,
        node: str | None = None,
        metadata: Mapping[str, object] | None = None,
        *,
        incremental: bool = True,
        channel: grpc.aio.Channel | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.node = node_id() if node is None else node
        self.metadata = dict(metadata or {})
        self.incremental = incremental
        self.last: dict[str, DiscoveryResponse | DeltaDiscoveryResponse] = {}  # by type URL
        self._channel = channel or grpc.aio.insecure_channel(address, options=OPTIONS)
        method = "DeltaAggregatedResources" if incremental else "StreamAggregatedResources"
        self._call = self._channel.stream_stream(SERVICE + method)(metadata=tuple(headers))
        self._introduced = False

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self._call.cancel()
        await self._channel.close()

    async def send(self, request: DiscoveryRequest | DeltaDiscoveryRequest) -> None:
        """Send a request as it is, the node filled into the first."""
        if not self._introduced:
            self._introduced = True
            if self.node:
                request.node.id = self.node
                request.node.metadata.update(self.metadata)
        await self._call.write(request.SerializeToString())

    async def send_bytes(self, raw: bytes) -> None:
        await self._call.write(raw)

    async def ask(
        self,
        type_: ResourceType,
        names: Iterable[str] = (),
        *,
        drop: Iterable[str] = (),
        versions: Mapping[str, str] | None = None,
        nonce: str = "",
    ) -> None:
        """Subscribe: to all of these names (state of the world), or to these as well (incremental)."""
        if self.incremental:
            await self.send(
                DeltaDiscoveryRequest(
                    type_url=type_.url,
                    resource_names_subscribe=names,
                    resource_names_unsubscribe=drop,
                    initial_resource_versions=versions or {},
                    response_nonce=nonce,
                )
            )
        else:
            await self.send(DiscoveryRequest(type_url=type_.url, resource_names=names, response_nonce=nonce))

    async def answer(self, url: str, names: Iterable[str] = (), *, nonce: str = "", error: str = "") -> None:
        """ACK the last response of a type, or NACK it with an error."""
        last = self.last[url]
        nonce = nonce or last.nonce
        request: DiscoveryRequest | DeltaDiscoveryRequest
        if isinstance(last, DeltaDiscoveryResponse):
            request = DeltaDiscoveryRequest(type_url=url, response_nonce=nonce, resource_names_subscribe=names)
        else:
            request = DiscoveryRequest(
                type_url=url, response_nonce=nonce, resource_names=names, version_info=last.version_info
            )
        if error:
            request.error_detail.code, request.error_detail.message = 13, error
        await self.send(request)

    async def response(self, seconds: float = 5) -> DiscoveryResponse | DeltaDiscoveryResponse:
        """The next response. Raises `TimeoutError`, and `grpc.aio.AioRpcError` if the server ended the stream."""
        async with asyncio.timeout(seconds):
            raw = await self._call.read()
        if raw is grpc.aio.EOF:
            raise AssertionError(f"the server ended the stream: {await self._call.code()} {await self._call.details()}")
        of = DeltaDiscoveryResponse if self.incremental else DiscoveryResponse
        response = of.FromString(raw)
        self.last[response.type_url] = response
        return response

    async def silence(self, seconds: float = 0.3) -> bool:
        """Whether nothing arrives. Leaves the stream unusable: a read cannot be taken back."""
        try:
            await self.response(seconds)
        except TimeoutError:
            return True
        return False

    async def refusal(self) -> tuple[grpc.StatusCode, str]:
        """How the stream ends if it is asked for anything, which may be learnt while asking."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            await self.ask(CLUSTER)
        return await self.status()

    async def status(self) -> tuple[grpc.StatusCode, str]:
        """How the server ended the stream."""
        return await self._call.code(), await self._call.details()


def resources_in(response: DiscoveryResponse | DeltaDiscoveryResponse) -> dict[str, bytes]:
    """Names and bytes of the resources in a response."""
    if isinstance(response, DeltaDiscoveryResponse):
        return {resource.name: resource.resource.value for resource in response.resources}
    return {_first_string(packed.value): packed.value for packed in response.resources}


def _first_string(body: bytes) -> str:
    """The string in field 1, where all of Envoy's own types have their name."""
    assert body[:1] == b"\x0a", "field 1 does not come first"
    size, shift, at = 0, 0, 1
    while True:
        size |= (body[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if body[at - 1] < 0x80:
            return body[at : at + size].decode()


@dataclass
class Held:
    """What a sidecar holds of one type."""

    resources: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    responses: int = 0


class Sidecar(Client):
    """Follows what it is told, as Envoy does. Run `follow` in a task."""

    def __init__(
        self,
        address: str,
        node: str | None = None,
        *,
        incremental: bool = True,
        channel: grpc.aio.Channel | None = None,
    ) -> None:
        super().__init__(address, node, incremental=incremental, channel=channel)
        self.held = {type_.url: Held() for type_ in (CLUSTER, ENDPOINT, LISTENER, ROUTE)}
        self.responses = 0
        self._news = asyncio.Condition()

    async def follow(self) -> None:
        """Ask, read, check and ACK until cancelled. Who holds something already says so, as after a broken stream."""
        for url, held in self.held.items():
            if TYPES[url].wildcard or held.names:
                await self.ask(TYPES[url], sorted(held.names), versions=held.versions)
        while True:
            response = await self.response(seconds=3600)
            self._take(response)
            await self.answer(response.type_url, self._names(response.type_url))
            if response.type_url == CLUSTER.url:
                await self._point(ENDPOINT, set(self.held[CLUSTER.url].resources) & _eds_names(self.held[CLUSTER.url]))
            elif response.type_url == LISTENER.url:
                await self._point(ROUTE, _rds_names(self.held[LISTENER.url]))
            async with self._news:
                self.responses += 1
                self._news.notify_all()

    async def until(self, responses: int, seconds: float = 30) -> None:
        """Wait until that many responses have come in all."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: self.responses >= responses)

    def _names(self, url: str) -> Iterable[str]:
        return () if self.incremental else sorted(self.held[url].names)

    def _take(self, response: DiscoveryResponse | DeltaDiscoveryResponse) -> None:
        held = self.held[response.type_url]
        held.responses += 1
        came = resources_in(response)
        if isinstance(response, DeltaDiscoveryResponse):
            for resource in response.resources:
                assert resource.version, f"{resource.name} has no version"
                held.versions[resource.name] = resource.version
            for name in response.removed_resources:
                held.resources.pop(name, None)
                held.versions.pop(name, None)
        elif TYPES[response.type_url].wildcard:
            held.resources.clear()
        held.resources.update(came)

    async def _point(self, type_: ResourceType, names: set[str]) -> None:
        """Watch what the resources just taken point to."""
        held = self.held[type_.url]
        if names == held.names:
            return
        came, gone = names - held.names, held.names - names
        held.names = names
        for name in gone:
            held.resources.pop(name, None)
            held.versions.pop(name, None)
        if self.incremental:
            await self.ask(type_, sorted(came), drop=sorted(gone))
        else:
            last = self.last.get(type_.url)
            await self.ask(type_, sorted(names), nonce="" if last is None else last.nonce)


def _eds_names(clusters: Held) -> set[str]:
    # Cluster.type is field 2; a cluster is served by EDS when it says so (3). Its name is what EDS knows it by.
    return {name for name, body in clusters.resources.items() if b"\x10\x03" in body}


def _rds_names(listeners: Held) -> set[str]:
    names: set[str] = set()
    for body in listeners.resources.values():
        listener = Listener.FromString(body)
        for chain in [*listener.filter_chains, listener.default_filter_chain]:
            for filter_ in chain.filters:
                if filter_.typed_config.Is(hcm.HttpConnectionManager.DESCRIPTOR):
                    manager = hcm.HttpConnectionManager.FromString(filter_.typed_config.value)
                    if manager.HasField("rds"):
                        names.add(manager.rds.route_config_name)
    return names
