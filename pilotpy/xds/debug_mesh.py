"""What a control plane knows of the mesh, page by page, as istiod's debug pages show it.

From the engine's inputs and answers to plain data. There may be tens of thousands of services: the loop gets its turn
in between. Source: pilot/pkg/xds/debug.go and the types that it writes, in pilot/pkg/model.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from pilotpy.compile.encoded import Encoded, Tree
from pilotpy.engine import Engine, Kind
from pilotpy.explain.redaction import redacted
from pilotpy.mesh.clusters import home_cluster
from pilotpy.mesh.config import mesh_config, root_namespace
from pilotpy.mesh.endpoints import endpoints
from pilotpy.mesh.hosts import is_address, service_host
from pilotpy.mesh.kinds import AUTHORIZATION_POLICIES, KIND_OF, SERVICE_ENTRIES, SERVICES, TELEMETRIES
from pilotpy.mesh.network_gateways import gateways, named_gateways
from pilotpy.mesh.scopes import members
from pilotpy.mesh.service import Registry, Service, ServiceKey
from pilotpy.mesh.service_entries import hosts_of
from pilotpy.mesh.services import service
from pilotpy.mesh.view import View
from pilotpy.mesh.views import view
from pilotpy.model.resource import Finding, Resource
from pilotpy.schema.kinds import SCHEMAS, Schema
from pilotpy.schema.written import api_version, written, written_object
from pilotpy.xds.debug_shapes import (
    FollowedCluster,
    cluster_shape,
    endpoint_shape,
    gateway_shape,
    port_shape,
    service_shape,
)

T = TypeVar("T")

_THOUSAND: Final = 1000
_AT_ONCE: Final = 100  # services between two turns of the loop
_GROUP: Final = ".istio.io"  # of the kinds that are configuration


class MeshPages:
    """The pages about the mesh as a whole. Lists are sorted; all may be empty."""

    def __init__(
        self,
        engine: Engine,
        held: Callable[[], Iterable[tuple[str, Tree]]],
        clusters: Callable[[], Iterable[FollowedCluster]] | None = None,  # None: it is not about clusters
    ) -> None:
        self._engine = engine
        self.clusters = clusters
        self.wrong: Callable[[], Iterable[Finding]] = tuple  # tells all findings of now
        self._held = held  # what is kept compiled: type URLs and collections

    async def registryz(self) -> list[dict[str, Any]]:
        """Every service."""
        return [service_shape(found, self._home) async for found in _unhurried(self._services())]

    async def endpointz(self) -> dict[str, Any]:
        """Every endpoint: host -> namespace -> shards, one for each registry and cluster."""
        hosts: dict[str, Any] = {}
        async for found in _unhurried(self._services()):
            shards: dict[str, list[dict[str, Any]]] = {}
            accounts = set(found.service_accounts)
            provider = "Kubernetes" if found.registry is Registry.KUBERNETES else "External"
            for port in found.ports:
                for endpoint in self._engine.ask(endpoints, found.key, port.name):
                    shards.setdefault(f"{provider}/{endpoint.cluster}", []).append(endpoint_shape(endpoint))
                    accounts |= {endpoint.service_account} - {""}
            if shards:
                said = {"Shards": shards, "ServiceAccounts": {account: {} for account in sorted(accounts)}}
                hosts.setdefault(found.key.host, {})[found.key.namespace] = said
        return hosts

    async def configz(self) -> list[dict[str, Any]]:
        """Every object of Istio's kinds, as somebody may have written it."""
        return [
            redacted(written_object(found, schema.group))
            for schema in _configuration()
            async for found in _unhurried(self._objects(KIND_OF[schema.kind]))
        ]

    async def mesh(self) -> dict[str, Any]:
        """The MeshConfig in force, with what it does not say itself."""
        found: dict[str, Any] = written(self._engine.ask(mesh_config), defaults=True)
        return found

    async def resourcesz(self) -> list[dict[str, Any]]:
        """The kinds of configuration that are read."""
        parted = [(schema, api_version(schema).rpartition("/")) for schema in _configuration()]
        return [{"group": group, "version": version, "kind": schema.kind} for schema, (group, _, version) in parted]

    async def cachez(self) -> dict[str, list[str]]:
        """What is kept compiled, in whatever versions somebody is given: names by type."""
        return {url: [one.name for one in kept] for url, kept in await self._kept()}

    async def cache_sizes(self) -> dict[str, str]:
        """The bytes of it by type, and in total."""
        sizes = {url: sum(one.size for one in kept) for url, kept in await self._kept()}
        return {url: _bytes(size) for url, size in (*sizes.items(), ("total", sum(sizes.values())))}

    def clear(self) -> None:
        """Forget what nobody is given; the rest is what would be compiled again, or it would be another answer."""
        self._engine.sweep()

    async def push_status(self) -> dict[str, dict[str, Any]]:
        """What is wrong with what proxies are given: code -> object -> message."""
        found: dict[str, dict[str, Any]] = {}
        async for note in _unhurried(list(self._engine.noted())):
            if isinstance(note, Finding):
                found.setdefault(note.code, {})[str(note.ref or note.message)] = {"message": note.message}
        return {code: dict(sorted(found[code].items())) for code in sorted(found)}

    async def findings(self) -> list[Finding]:
        """What is wrong now: with what was written, with what became of it, with hearing of it."""
        return sorted(
            self.wrong(), key=lambda one: (one.ref or (), one.file, one.line, one.field, one.code, one.message)
        )

    async def authorizationz(self) -> dict[str, Any]:
        """Every AuthorizationPolicy, by namespace."""
        return {"authorization_policies": self._policies()}

    async def clusterz(self) -> list[dict[str, str]]:
        """The clusters that are followed, the one that names the others first."""
        return [cluster_shape(one) for one in self.clusters()] if self.clusters else []

    async def networkz(self) -> list[dict[str, Any]]:
        """The gateways to other networks, those under host names as they were last resolved."""
        return [gateway_shape(one) for one in self._engine.ask(gateways)]

    async def pushcontext(self) -> dict[str, Any]:
        """What istiod computes ahead of proxies: policies, and gateways before and after their names are resolved."""
        unresolved = [one for one in self._engine.ask(named_gateways) if not is_address(one.address)]
        return {
            "AuthorizationPolicies": self._policies(),
            "NetworkGateways": await self.networkz(),
            "UnresolvedGateways": [gateway_shape(one) for one in unresolved],
        }

    async def telemetryz(self) -> dict[str, Any]:
        """Every Telemetry, by namespace."""
        telemetries: dict[str, list[dict[str, Any]]] = {}
        for found in self._objects(TELEMETRIES):
            said = {**_named(found), "spec": written(found.spec)}
            telemetries.setdefault(found.ref.namespace, []).append(said)
        return {"telemetries": {"namespace_to_telemetries": telemetries, "root_namespace": self._root}}

    async def instancesz(self, proxies: Mapping[str, str]) -> dict[str, Any]:
        """The service ports that the workloads behind proxies serve; by their names, given the connection of each."""
        # All at once: a moment later one of them may be gone.
        seen = {name: self._engine.ask(view, connection) for name, connection in sorted(proxies.items())}
        return {name: list(self._targets(one)) async for name, one in _unhurried(seen.items())}

    async def sidecarz(self, connection: str) -> dict[str, Any]:
        """What one proxy may reach, whether a Sidecar says so or nothing does."""
        seen = self._engine.ask(view, connection)
        reached = [one for part in seen.scope.parts for one in self._engine.ask(members, part)]
        services = [
            service_shape(found, self._home)
            async for one in _unhurried(reached)
            if (found := self._engine.ask(service, one.service)) is not None
        ]
        rules = {
            one.service.host: [f"{rule.namespace}/{rule.name}" for rule in one.rules] for one in reached if one.rules
        }
        sidecar = seen.inbound.sidecar
        return {
            "name": sidecar.name if sidecar is not None else "default-sidecar",
            "namespace": seen.scope.namespace,
            "outboundTrafficPolicy": {"mode": "ALLOW_ANY" if seen.scope.fallback.allow_any else "REGISTRY_ONLY"},
            "services": services,
            "destinationRules": rules,
        }

    def _policies(self) -> dict[str, Any]:
        policies: dict[str, list[dict[str, Any]]] = {}
        for found in self._objects(AUTHORIZATION_POLICIES):
            said = {**_named(found), "annotations": dict(found.meta.annotations) or None, "spec": written(found.spec)}
            policies.setdefault(found.ref.namespace, []).append(said)
        return {"namespace_to_policies": policies, "root_namespace": self._root}

    @property
    def _home(self) -> str:
        return self._engine.ask(home_cluster)

    @property
    def _root(self) -> str:
        return self._engine.ask(root_namespace)

    async def _kept(self) -> list[tuple[str, list[Encoded]]]:
        kept: dict[str, dict[bytes, Encoded]] = {}
        async for url, tree in _unhurried(list(self._held())):
            kept.setdefault(url, {}).update((one.digest, one) for one in tree)
        return [(url, sorted(kept[url].values(), key=lambda one: one.name)) for url in sorted(kept)]

    def _targets(self, seen: View) -> Iterator[dict[str, Any]]:
        for target in seen.inbound.targets:
            for key in (target.service, *target.besides):
                found = self._engine.ask(service, key)
                port = next((one for one in found.ports if one.number == target.port), None) if found else None
                if found is not None and port is not None:
                    said = {**port_shape(port), "TargetPort": target.target}
                    yield {"Service": service_shape(found, self._home), "Port": said}

    def _services(self) -> Iterator[Service]:
        keys = {
            ServiceKey(str(namespace), service_host(str(namespace), str(name)))
            for (namespace, name), _ in self._engine.objects(SERVICES)
        }
        for (namespace, name), _ in self._engine.objects(SERVICE_ENTRIES):
            hosts = self._engine.ask(hosts_of, str(namespace), str(name))
            keys.update(ServiceKey(str(namespace), host) for host in hosts)
        for key in sorted(keys):
            if (found := self._engine.ask(service, key)) is not None:
                yield found

    def _objects(self, kind: Kind[Resource[T]]) -> list[Resource[T]]:
        return [found for _, found in sorted(self._engine.objects(kind), key=lambda one: str(one[0]))]


def _configuration() -> list[Schema]:
    kinds = (schema for (group, _), schema in SCHEMAS.items() if group.endswith(_GROUP) and schema.kind in KIND_OF)
    return sorted(kinds, key=lambda schema: schema.kind)


def _named(found: Resource[Any]) -> dict[str, Any]:
    return {"name": found.ref.name, "namespace": found.ref.namespace}


def _bytes(size: int) -> str:
    """As istiod writes it."""
    for unit in ("B", "kB", "MB"):
        if size < _THOUSAND:
            return f"{size}{unit}"
        size //= _THOUSAND
    return f"{size}GB"


async def _unhurried(items: Iterable[T]) -> AsyncIterator[T]:
    """The items, with a turn for everybody else now and then."""
    for at, item in enumerate(items, 1):
        yield item
        if at % _AT_ONCE == 0:
            await asyncio.sleep(0)
