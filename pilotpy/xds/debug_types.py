"""What people ask over ADS when a proxy misbehaves: the types `istio.io/debug...`, which istioctl uses.

Each request gets one response, and no more later. Only who proved who they are may ask. Source: DebugGen and StatusGen
in pilot/pkg/xds of istio/istio, istioctl/pkg/multixds for what is read; envoy/service/status/v3/csds.proto.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from google.protobuf.any_pb2 import Any
from google.protobuf.json_format import ParseDict

from pilotpy.compile.wire import packed
from pilotpy.xds.connection import Connection
from pilotpy.xds.inspection import Asker, Inspection
from pilotpy.xds.publication import Node
from pilotpy.xds.resource_type import DEBUG_URL
from pilotpy.xds.transport import Code, Refusal
from pilotpy.xds.watch import Watch
from pilotpy_protos.descriptors import pool
from pilotpy_protos.envoy.admin.v3.config_dump_pb2 import ConfigDump
from pilotpy_protos.envoy.config.core.v3.base_pb2 import ControlPlane
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
    Resource,
)
from pilotpy_protos.envoy.service.status.v3.csds_pb2 import ClientConfig, ConfigStatus

_SYNCZ: Final = f"{DEBUG_URL}/syncz"
_TOLD: Final = ("CLUSTER_ID", "NAMESPACE", "ISTIO_VERSION")


class DebugTypes:
    """Answers such requests."""

    def __init__(self, inspection: Inspection, instance: str) -> None:
        self._inspection = inspection
        said = {"Component": "istiod", "ID": instance, "Info": {"version": version("pilotpy")}}
        self._component = msgspec.json.encode(said).decode()

    async def response(self, node: Node, request: DiscoveryRequest | DeltaDiscoveryRequest) -> bytes | None:
        """The answer; None: the request was but the acknowledgement of one. Raises `Refusal`."""
        nonce = f"{node.id[:200]}/debug"
        # istioctl's very first request already bears a nonce, of its own making.
        if request.response_nonce == nonce or request.HasField("error_detail"):
            return None
        asker = self._inspection.asker(*filter(None, [node.identity]))
        if asker is None:
            raise Refusal(Code.UNAUTHENTICATED, f"{DEBUG_URL} needs an authenticated client, ask on the secure port")
        incremental = isinstance(request, DeltaDiscoveryRequest)
        names = (
            request.resource_names_subscribe if isinstance(request, DeltaDiscoveryRequest) else request.resource_names
        )
        found = await self._found(request.type_url, list(names), asker)
        plane = ControlPlane(identifier=self._component) if request.type_url == _SYNCZ else None
        answer: DiscoveryResponse | DeltaDiscoveryResponse
        if incremental:
            resources = [Resource(name=name, resource=body) for name, body in found]
            answer = DeltaDiscoveryResponse(
                type_url=request.type_url, nonce=nonce, resources=resources, control_plane=plane
            )
        else:
            bodies = [body for _, body in found]
            answer = DiscoveryResponse(type_url=request.type_url, nonce=nonce, resources=bodies, control_plane=plane)
        return answer.SerializeToString()

    async def _found(self, url: str, names: list[str], asker: Asker) -> list[tuple[str, Any]]:
        match url:
            case "istio.io/debug/syncz":
                return [(one.proxy, packed(client_config(one))) for one in self._proxies(asker)]
            case "istio.io/debug/config_dump":
                return await self._config_dump(_only(names, url), asker)
            case "istio.io/debug":
                name = _only(names, url)
                page, _, query = name.partition("?")
                # As in istiod, trust in a namespace does not reach this far.
                own = asker._replace(every_page=False)
                found = await self._inspection.page(page, dict(parse_qsl(query, keep_blank_values=True)), own)
                if found.status == 403:
                    raise Refusal(Code.PERMISSION_DENIED, f"{page[:100]!r} is not for namespace {asker.namespace}")
                return [(name, Any(type_url=DEBUG_URL, value=found.body))]
            case _:
                raise Refusal(Code.INVALID_ARGUMENT, f"there is no type {url[:200]!r}")

    def _proxies(self, asker: Asker) -> Iterable[Connection]:
        return (one for one in self._inspection.connections(asker) if "PROXY_CONFIG" in one.node.metadata)

    async def _config_dump(self, proxy: str, asker: Asker) -> list[tuple[str, Any]]:
        found = await self._inspection.page("config_dump", {"proxyID": proxy, "include_eds": ""}, asker)
        if found.status != 200:
            return []
        dump = ParseDict(msgspec.json.decode(found.body), ConfigDump(), descriptor_pool=pool())
        return [("", config) for config in dump.configs]


def client_config(connection: Connection) -> ClientConfig:
    """How far a proxy is, type by type in the order of their URLs."""
    config = ClientConfig()
    config.node.id = connection.proxy
    for key in _TOLD:
        if isinstance(value := connection.node.metadata.get(key), str):
            config.node.metadata[key] = value
    for url, watch in sorted(connection.session.watches.items()):
        one = config.generic_xds_configs.add(type_url=url, config_status=_status(watch))
        if url in connection.sent_at:
            one.last_updated.FromDatetime(connection.sent_at[url])
        if watch.error:
            one.error_state.details = watch.error
    return config


def _status(watch: Watch) -> ConfigStatus:
    if watch.error:
        return ConfigStatus.ERROR
    if not watch.nonce_sent:
        return ConfigStatus.NOT_SENT
    return ConfigStatus.SYNCED if watch.nonce_acked == watch.nonce_sent else ConfigStatus.STALE


def _only(names: list[str], url: str) -> str:
    if len(names) != 1:
        raise Refusal(Code.INVALID_ARGUMENT, f"{url} takes exactly one name")
    return names[0]
