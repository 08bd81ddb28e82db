"""The roots of the mesh in the other clusters that want them of this control plane, as clusters come and go.

A cluster says so by annotation `topology.istio.io/controlPlaneClusters` of the namespace that is called there as ours
is: names of clusters whose control planes may, or `*`. One replica of them all does it, which holds a Lease there.

Source  pkg/kube/multicluster and pilot/pkg/serviceregistry/kube/controller/multicluster.go of istio/istio.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Final

import msgspec

from pilotpy.kube.leases import Lease
from pilotpy.kube.root_certificates import RootCertificates
from pilotpy.ops.endless import endless
from pilotpy.ops.logs import fields
from pilotpy.ops.settings import Settings
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.trouble import Trouble, Unreachable
from pilotpy.sources.kubernetes.wire import Metadata, Wire

ANNOTATION: Final = "topology.istio.io/controlPlaneClusters"

_LOG: Final = logging.getLogger("pilotpy.roots")
_LARGEST: Final = 1 << 20  # bytes of one namespace
_LOOK: Final = timedelta(seconds=2)  # between looks at which clusters there are: that asks nobody


class _Namespace(Wire, frozen=True):
    metadata: Metadata


class _Namespaces(Wire, frozen=True):
    items: tuple[_Namespace, ...] | None = None


class RemoteRoots:
    """Keeps the roots in other clusters, as long as `run` runs."""

    def __init__(
        self,
        servers: Mapping[str, Connection],
        lease: Callable[[Connection], Lease],
        roots: Callable[[Connection, Lease], RootCertificates],
        *,
        settings: Settings,
        pause: timedelta,
    ) -> None:
        """`servers`: of the clusters, by name, as they are now; `pause`: after which they are asked what they want."""
        self._servers = servers
        self._lease = lease
        self._make = roots
        self._name = settings.cluster_id
        self._namespace = settings.system_namespace
        self._pause = pause.total_seconds()
        self._kept: dict[Connection, RootCertificates] = {}

    def look_again(self) -> None:
        """The roots are others, or other namespaces are selected."""
        for roots in self._kept.values():
            roots.look_again()

    async def run(self) -> None:
        """Follow the clusters, for ever."""
        tasks: dict[Connection, asyncio.Task[None]] = {}
        try:
            while True:
                there = {connection: name for name, connection in self._servers.items()}
                for gone in tasks.keys() - there.keys():
                    tasks.pop(gone).cancel()
                for new in there.keys() - tasks.keys():
                    serving = endless(f"roots of {there[new]}", partial(self._serve, there[new], new))
                    tasks[new] = asyncio.create_task(serving)
                await asyncio.sleep(_LOOK.total_seconds())
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _serve(self, cluster: str, connection: Connection) -> None:
        """Keep the roots in one cluster whenever it wants that."""
        while True:
            try:
                if await self._wanted(connection):
                    _LOG.info("roots are kept in a cluster", extra=fields(cluster=cluster))
                    await self._keep(connection)
            except Trouble as trouble:
                _LOG.warning("not known who keeps the roots", extra=fields(cluster=cluster, reason=str(trouble)))
            await asyncio.sleep(self._pause)

    async def _keep(self, connection: Connection) -> None:
        """Keep the roots as long as the cluster wants it."""
        lease = self._lease(connection)
        roots = self._kept[connection] = self._make(connection, lease)
        leading = asyncio.create_task(lease.lead(roots.run))
        try:
            while not leading.done():
                await asyncio.wait((leading,), timeout=self._pause)
                with contextlib.suppress(Trouble):  # what it said last counts
                    if not await self._wanted(connection):
                        return
            leading.result()
        finally:
            del self._kept[connection]
            leading.cancel()
            await asyncio.gather(leading, return_exceptions=True)

    async def _wanted(self, connection: Connection) -> bool:
        """Whether a cluster wants the roots of us. Raises `Trouble`."""
        query = {"fieldSelector": f"metadata.name={self._namespace}"}
        answer = await connection.ask("GET", "/api/v1/namespaces", query=query, largest=_LARGEST)
        try:
            found = msgspec.json.decode(answer, type=_Namespaces)
        except msgspec.DecodeError as error:
            raise Unreachable(f"not a list of namespaces: {error}") from None
        said = [(one.metadata.annotations or {}).get(ANNOTATION, "") for one in found.items or ()]
        named = {name.strip() for text in said for name in text.split(",")}
        return not named.isdisjoint({"*", self._name})
