"""What people ask a control plane when a proxy misbehaves: pages, and who may see which.

The pages of istiod's `/debug/`, whichever way they are asked for (HTTP in `debug`, ADS in `debug_types`), behind one
rule: whoever is of the mesh's root namespace sees all, others what their own namespace's proxies are given.
Source: pilot/pkg/xds/debug.go. `timeline` is ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from starlette.concurrency import run_in_threadpool

from pilotpy.mesh.view import Identity
from pilotpy.ops.instruments import Instruments
from pilotpy.xds.config_dump import config_dump, resources
from pilotpy.xds.connection import Connection
from pilotpy.xds.edge import Edge
from pilotpy.xds.resource_type import ENDPOINT, IN_ORDER, NAME_TABLE, ResourceType
from pilotpy.xds.status import client, client_with_watches, sync_status

_ELSEWHERE: Final = "Proxy not connected to this Pilot instance. It may be connected to another instance.\n"
_BY_SHORT: Final = {type_.short: type_ for type_ in IN_ORDER}
_FOR_ANYBODY: Final = frozenset({"config_dump", "edsz", "ndsz"})


class Asker(NamedTuple):
    """Who asks."""

    namespace: str | None  # whose proxies may be seen; None: everybody's


EVERYTHING: Final = Asker(None)


class Page(NamedTuple):
    """An answer."""

    body: bytes
    status: int = 200  # of HTTP
    media: str = "application/json"


Params = Mapping[str, str]


class Inspection:
    """All pages of one edge."""

    def __init__(self, edge: Edge, instruments: Instruments, root_namespace: Callable[[], str]) -> None:
        self._edge = edge
        self._instruments = instruments
        self._root_namespace = root_namespace
        self._pages: dict[str, Callable[[Params, Asker], Awaitable[Page]]] = {
            "adsz": self._adsz,
            "config_dump": self._config_dump,
            "connections": self._connections,
            "edsz": self._of_type(ENDPOINT),
            "list": self._list,
            "ndsz": self._of_type(NAME_TABLE),
            "syncz": self._syncz,
            "timeline": self._timeline,
        }

    @property
    def names(self) -> tuple[str, ...]:
        """What there is to ask for, sorted."""
        return tuple(self._pages)

    def asker(self, *identities: Identity) -> Asker | None:
        """What somebody with these identities may see; None: nothing."""
        namespaces = [identity.namespace for identity in identities]
        if self._root_namespace() in namespaces:
            return EVERYTHING
        return Asker(namespaces[0]) if namespaces else None

    async def page(self, name: str, params: Params, asker: Asker) -> Page:
        """The page of that name; of another one, 404, and 403 if it is not for this asker."""
        if asker.namespace is not None and name not in _FOR_ANYBODY:
            return Page(b"", 403, "text/plain")
        page = self._pages.get(name)
        return Page(b"no such page\n", 404, "text/plain") if page is None else await page(params, asker)

    def connections(self, asker: Asker) -> list[Connection]:
        """The proxies that may be seen, sorted by connection."""
        found = sorted(self._edge.connections.values(), key=lambda connection: connection.id)
        return [one for one in found if asker.namespace is None or one.namespace == asker.namespace]

    def connection(self, proxy: str, asker: Asker) -> Connection | None:
        """The first whose id contains a text, as istiod finds proxies."""
        return next((one for one in self.connections(asker) if proxy in one.id), None)

    async def _list(self, params: Params, _: Asker) -> Page:
        return _json(params, self.names)

    async def _syncz(self, params: Params, asker: Asker) -> Page:
        namespace = params.get("namespace", "")
        found = (c for c in self.connections(asker) if not namespace or c.namespace == namespace)
        return _json(params, [sync_status(connection) for connection in found])

    async def _connections(self, params: Params, asker: Asker) -> Page:
        found = self.connections(asker)
        return _json(params, {"totalClients": len(found), "clients": [client(c) for c in found]})

    async def _adsz(self, params: Params, asker: Asker) -> Page:
        if params.get("push"):
            return _text(f"Pushed to {self._edge.push_all()} servers\n")
        found = self.connections(asker)
        if proxy := params.get("proxyID"):
            found = [connection for connection in found if proxy in connection.id][:1]
            if not found:
                return _text(_ELSEWHERE, 404)
        return _json(params, {"totalClients": len(found), "clients": [client_with_watches(c) for c in found]})

    async def _timeline(self, params: Params, _: Asker) -> Page:
        return _json(params, [record.fields() for record in reversed(self._instruments.timeline.records())])

    async def _config_dump(self, params: Params, asker: Asker) -> Page:
        names = params.get("types", "")
        types = [_BY_SHORT[name] for name in names.lower().split(",") if name in _BY_SHORT]
        return await self._dumped(params, asker, types if names else None)

    def _of_type(self, type_: ResourceType) -> Callable[[Params, Asker], Awaitable[Page]]:
        async def page(params: Params, asker: Asker) -> Page:
            return await self._dumped(params, asker, [type_])

        return page

    async def _dumped(self, params: Params, asker: Asker, types: list[ResourceType] | None) -> Page:
        proxy = params.get("proxyID")
        if not proxy:
            return _text("You must provide a proxyID in the query string\n", 400)
        connection = self.connection(proxy, asker)
        if connection is None:
            return _text(_ELSEWHERE, 404)
        session, publication = connection.session, connection.seat.publication

        def dump() -> dict[str, Any]:  # may be megabytes: streams go on meanwhile
            if types is None:
                return config_dump(session, publication, endpoints="include_eds" in params)
            return {"configs": [found for type_ in types for found in resources(session, publication, type_)]}

        return _json(params, await run_in_threadpool(dump))


def _text(text: str, status: int = 200) -> Page:
    return Page(text.encode(), status, "text/plain")


def _json(params: Params, content: object) -> Page:
    body = msgspec.json.encode(content, enc_hook=str)
    return Page(msgspec.json.format(body) if "pretty" in params else body)
