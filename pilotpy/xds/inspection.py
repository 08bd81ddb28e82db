"""What people ask a control plane when a proxy misbehaves: pages, and who may see which.

The pages of istiod's `/debug/`, whichever way they are asked for (HTTP in `debug`, ADS in `debug_types`), behind one
rule: whoever is of the mesh's root namespace sees all, others what their own namespace's proxies are given.
Source: pilot/pkg/xds/debug.go. `findings` and `timeline` are ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from starlette.concurrency import run_in_threadpool

from pilotpy.engine import Engine
from pilotpy.mesh.clusters import home_cluster
from pilotpy.mesh.config import root_namespace
from pilotpy.mesh.view import Identity
from pilotpy.ops.instruments import Instruments
from pilotpy.xds.config_dump import config_dump, resources
from pilotpy.xds.connection import Connection
from pilotpy.xds.debug_mesh import MeshPages
from pilotpy.xds.edge import Edge
from pilotpy.xds.resource_type import ENDPOINT, EXTENSION, IN_ORDER, NAME_TABLE, ResourceType
from pilotpy.xds.status import client, client_with_watches, sync_status

_ELSEWHERE: Final = "Proxy not connected to this Pilot instance. It may be connected to another instance.\n"
_BY_SHORT: Final = {type_.short: type_ for type_ in IN_ORDER}
_FOR_ANYBODY: Final = frozenset({"config_dump", "edsz", "ndsz"})
_NOT_ANSWERED: Final = {
    "ambientz": "no ambient mesh is served",
    "clusterz": "no cluster is followed",
    "inject": "nothing is injected",
    "krtz": "it is about the inside of istiod",
    "mcsz": "ServiceExport and ServiceImport are not read",
}
"""Pages of istiod's, and why they are not here: who asks for one must not take silence for an answer."""


class Asker(NamedTuple):
    """Who asks."""

    namespace: str | None  # whose proxies may be looked into; None: everybody's
    every_page: bool = False  # those about the mesh as well


EVERYTHING: Final = Asker(None)


class Page(NamedTuple):
    """An answer."""

    body: bytes
    status: int = 200  # of HTTP
    media: str = "application/json"


Params = Mapping[str, str]


class Inspection:
    """All pages of one edge."""

    def __init__(
        self,
        edge: Edge,
        instruments: Instruments,
        engine: Engine,
        mesh: MeshPages | None = None,  # None: only pages about proxies
        trusted: Collection[str] = (),  # namespaces from which every page may be seen
    ) -> None:
        self._trusted = frozenset(trusted)
        self._edge = edge
        self._mesh = mesh
        self._instruments = instruments
        self._engine = engine
        self._pages: dict[str, Callable[[Params, Asker], Awaitable[Page]]] = {
            "adsz": self._adsz,
            "config_dump": self._config_dump,
            "connections": self._connections,
            "ecdsz": self._of_type(EXTENSION),
            "edsz": self._of_type(ENDPOINT),
            "list": self._list,
            "ndsz": self._of_type(NAME_TABLE),
            "syncz": self._syncz,
            "timeline": self._timeline,
        }
        if mesh is not None:
            self._pages |= _of_mesh(mesh) | {"instancesz": self._instancesz, "sidecarz": self._sidecarz}

    @property
    def names(self) -> tuple[str, ...]:
        """What there is to ask for, sorted."""
        return tuple(sorted(self._pages))

    def asker(self, *identities: Identity) -> Asker | None:
        """What somebody with these identities may see; None: nothing."""
        namespaces = [identity.namespace for identity in identities]
        if self._engine.ask(root_namespace) in namespaces:
            return EVERYTHING
        return Asker(namespaces[0], namespaces[0] in self._trusted) if namespaces else None

    async def page(self, name: str, params: Params, asker: Asker) -> Page:
        """The page of that name; of another one, 404, and 403 if it is not for this asker."""
        if asker.namespace is not None and not asker.every_page and name not in _FOR_ANYBODY:
            return Page(b"", 403, "text/plain")
        if (page := self._pages.get(name)) is not None:
            return await page(params, asker)
        if name in _NOT_ANSWERED:
            return _text(f"{name} is not answered here: {_NOT_ANSWERED[name]}\n", 501)
        return _text("no such page\n", 404)

    def connections(self, asker: Asker) -> list[Connection]:
        """The proxies that may be seen, sorted by connection."""
        found = sorted(self._edge.connections.values(), key=lambda connection: connection.id)
        every = asker.namespace is None or asker.every_page
        return [one for one in found if every or one.namespace == asker.namespace]

    def connection(self, proxy: str, asker: Asker) -> Connection | None:
        """The first whose id contains a text, as istiod finds proxies, if it may be looked into."""
        own = asker._replace(every_page=False)
        return next((one for one in self.connections(own) if proxy in one.id), None)

    async def _list(self, params: Params, _: Asker) -> Page:
        return _json(params, [name for name in self.names if name != "list"])

    async def _syncz(self, params: Params, asker: Asker) -> Page:
        namespace = params.get("namespace", "")
        found = (c for c in self.connections(asker) if not namespace or c.namespace == namespace)
        home = self._engine.ask(home_cluster)
        return _json(params, [sync_status(connection, home) for connection in found])

    async def _connections(self, params: Params, asker: Asker) -> Page:
        found = self.connections(asker)
        return _json(params, {"totalClients": len(found), "clients": [client(c) for c in found]})

    async def _adsz(self, params: Params, asker: Asker) -> Page:
        if params.get("push"):
            return _text(f"Pushed to {self._edge.push_all()} servers\n")
        found = self.connections(asker)
        if proxy := params.get("proxyID"):
            one = self.connection(proxy, asker)
            if one is None:
                return _text(_ELSEWHERE, 404)
            found = [one]
        return _json(params, {"totalClients": len(found), "clients": [client_with_watches(c) for c in found]})

    async def _timeline(self, params: Params, _: Asker) -> Page:
        return _json(params, [record.fields() for record in reversed(self._instruments.timeline.records())])

    async def _config_dump(self, params: Params, asker: Asker) -> Page:
        names = params.get("types", "")
        types = [_BY_SHORT[name] for name in names.lower().split(",") if name in _BY_SHORT]
        return await self._dumped(params, asker, types if names else None)

    async def _instancesz(self, params: Params, asker: Asker) -> Page:
        assert self._mesh is not None, "there is no such page without"
        return await _json_aside(
            params, await self._mesh.instancesz({one.proxy: one.id for one in self.connections(asker)})
        )

    async def _sidecarz(self, params: Params, asker: Asker) -> Page:
        assert self._mesh is not None, "there is no such page without"
        connection = self._named(params, asker)
        if isinstance(connection, Page):
            return connection
        return await _json_aside(params, await self._mesh.sidecarz(connection.id))

    def _of_type(self, type_: ResourceType) -> Callable[[Params, Asker], Awaitable[Page]]:
        async def page(params: Params, asker: Asker) -> Page:
            return await self._dumped(params, asker, [type_])

        return page

    async def _dumped(self, params: Params, asker: Asker, types: list[ResourceType] | None) -> Page:
        connection = self._named(params, asker)
        if isinstance(connection, Page):
            return connection
        session, publication = connection.session, connection.seat.publication

        def dump() -> dict[str, Any]:  # may be megabytes: streams go on meanwhile
            if types is None:
                return config_dump(session, publication, endpoints="include_eds" in params)
            return {"configs": [found for type_ in types for found in resources(session, publication, type_)]}

        return _json(params, await run_in_threadpool(dump))

    def _named(self, params: Params, asker: Asker) -> Connection | Page:
        """The proxy that is asked for, or what to say instead."""
        proxy = params.get("proxyID")
        if not proxy:
            return _text("You must provide a proxyID in the query string\n", 400)
        return self.connection(proxy, asker) or _text(_ELSEWHERE, 404)


def _of_mesh(mesh: MeshPages) -> dict[str, Callable[[Params, Asker], Awaitable[Page]]]:
    def page(content: Callable[[], Awaitable[object]]) -> Callable[[Params, Asker], Awaitable[Page]]:
        async def answer(params: Params, _: Asker) -> Page:
            return await _json_aside(params, await content())

        return answer

    async def cachez(params: Params, _: Asker) -> Page:
        if params.get("clear"):
            mesh.clear()
            return _text("Cache cleared\n")
        return await _json_aside(params, await (mesh.cache_sizes() if params.get("sizes") else mesh.cachez()))

    plain: dict[str, Callable[[], Awaitable[object]]] = {
        "authorizationz": mesh.authorizationz,
        "configz": mesh.configz,
        "endpointShardz": mesh.endpointz,
        "endpointz": mesh.endpointz,
        "findings": mesh.findings,
        "mesh": mesh.mesh,
        "networkz": mesh.networkz,
        "push_status": mesh.push_status,
        "pushcontext": mesh.pushcontext,
        "registryz": mesh.registryz,
        "resourcesz": mesh.resourcesz,
        "telemetryz": mesh.telemetryz,
    }
    if mesh.clusters is not None:
        plain["clusterz"] = mesh.clusterz
    return {name: page(content) for name, content in plain.items()} | {"cachez": cachez}


async def _json_aside(params: Params, content: object) -> Page:
    return await run_in_threadpool(_json, params, content)  # may be megabytes: streams go on meanwhile


def _text(text: str, status: int = 200) -> Page:
    return Page(text.encode(), status, "text/plain")


def _json(params: Params, content: object) -> Page:
    body = msgspec.json.encode(content, enc_hook=str)
    return Page(msgspec.json.format(body) if "pretty" in params else body)
