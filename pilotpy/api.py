"""A mesh from a folder, to look at from Python. The commands go in through this door too.

::

    mesh = pilotpy.load("k8s/")
    mesh.proxy("reviews-v1.default").routes[0].virtual_hosts[0].domains

What a proxy is served comes as envoy-data-plane's dataclasses, decoded when looked at: a second reader of our bytes,
made by other people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from os import PathLike
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pilotpy.agent.node import Node, node_of_pod, pod_addresses, workload_name
from pilotpy.analyze.default_resources import DEFAULT_RESOURCES
from pilotpy.analyze.doubts import CHECKS, doubts
from pilotpy.analyze.kinds import KIND_OF, NOW
from pilotpy.analyze.served import served, served_to_all
from pilotpy.compile.collection import CLUSTERS, ENDPOINTS, LISTENERS, NAMES, ROUTES
from pilotpy.compile.collections import COLLECTIONS
from pilotpy.compile.encoded import Tree
from pilotpy.engine import Engine, Failure, Fork, Put
from pilotpy.explain.difference import Difference, differences
from pilotpy.explain.document import opened
from pilotpy.mesh.inputs import puts
from pilotpy.mesh.kinds import PODS, PROXIES
from pilotpy.mesh.proxy import proxy_from_node
from pilotpy.mesh.service import Locality
from pilotpy.mesh.views import view
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.sources.folder import Folder

if TYPE_CHECKING:
    from envoy_data_plane.envoy.config.cluster.v3 import Cluster
    from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
    from envoy_data_plane.envoy.config.listener.v3 import Listener
    from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration

PARTS: Final[Mapping[str, str]] = {
    "clusters": CLUSTERS,
    "endpoints": ENDPOINTS,
    "listeners": LISTENERS,
    "routes": ROUTES,
}
"""The lists of a document, and the type of their resources."""

SHORT: Final[Mapping[str, str]] = {
    "cds": "clusters",
    "eds": "endpoints",
    "lds": "listeners",
    "rds": "routes",
    "sds": "secrets",
    "nds": "name_table",
}
"""What people call the parts of a document for short."""


class Unknown(LookupError):
    """Somebody asked for a proxy, or a part of a document, that there is not; the message says what there is."""


def load(
    *paths: str | PathLike[str],
    mesh_config: str | PathLike[str] | None = None,
    mesh_networks: str | PathLike[str] | None = None,
    default_resources: bool = False,
) -> Mesh:
    """Return the mesh that files and folders describe, with the Pods and addresses that a cluster would add.

    ``default_resources`` adds what every installation of Istio has, unless the files say otherwise.
    What is wrong in them is in ``Mesh.findings``; nothing is raised for it.
    """
    folder = Folder(paths, mesh_config=mesh_config, mesh_networks=mesh_networks)
    engine = Engine()
    changes = folder.load()
    engine.apply([Put(NOW, ("",), datetime.now(UTC)), *puts(changes, KIND_OF)])
    if default_resources:
        written = {change.ref for change in changes}
        absent = (one for one in DEFAULT_RESOURCES if one.ref not in written)
        engine.apply(Put(KIND_OF[one.ref.kind], (one.ref.namespace, one.ref.name), one) for one in absent)
    return Mesh(engine, folder)


class Mesh:
    """A mesh as its files describe it, compiled as far as it is looked at."""

    def __init__(self, engine: Engine, folder: Folder) -> None:
        self._engine = engine
        self._folder = folder

    @cached_property
    def proxies(self) -> tuple[str, ...]:
        """The names of all Pods that have an address, as ``pod.namespace``; sorted."""
        return tuple(self._pods)

    @cached_property
    def _pods(self) -> dict[str, Resource[Pod]]:
        """All Pods that have an address, by the names of their proxies; sorted."""
        found = {_name(pod): pod for _, pod in self._engine.objects(PODS) if pod_addresses(pod)}
        return dict(sorted(found.items()))

    def proxy(self, name: str, *, envoy: str = "istio") -> MeshProxy:
        """Return the proxy of a Pod, named ``pod.namespace`` or ``workload.namespace`` (then its first Pod's).

        Raises ``Unknown``.
        """
        return self._announced(self.announcement(name, envoy=envoy), Locality(), envoy)

    def announcement(self, name: str, *, envoy: str = "istio") -> Node:
        """Return how the proxy of a Pod introduces itself. Raises ``Unknown``."""
        made = (pod for pod in self._pods.values() if f"{workload_name(pod)}.{pod.ref.namespace}" == name)
        pod = self._pods.get(name) or next(made, None)
        if pod is None:
            known = ", ".join(islice(self._pods, 20)) or "none"
            raise Unknown(f"there is no Pod or workload {name!r}; Pods with an address: {known}")
        return node_of_pod(pod, istio=envoy == "istio")

    def node(
        self, node_id: str, *, metadata: Mapping[str, Any] | None = None, locality: str = "", envoy: str | None = None
    ) -> MeshProxy:
        """Return the proxy that would announce itself so. Raises ``Unknown`` if that is malformed.

        ``envoy``: "istio" or "plain"; None: as its metadata say.
        """
        said = dict(metadata or {})
        region, _, rest = locality.partition("/")
        zone, _, subzone = rest.partition("/")
        return self._announced(Node(node_id, "", said), Locality(region, zone, subzone), envoy)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All that is worth saying about the mesh: its files, its objects, what its proxies are served. Sorted."""
        doubtful = self._doubts()
        said = {(one.code, one.ref, one.field) for one in doubtful}
        # Much of what is doubtful about an object shows in what proxies are served, too.
        served = [one for one in self._served() if (one.code, one.ref, one.field) not in said]
        return _sorted([*self.of_files, *doubtful, *served])

    @property
    def of_files(self) -> tuple[Finding, ...]:
        """What is wrong with the files and with each object in them by itself; by file and line."""
        return self._folder.findings

    def _doubts(self) -> list[Finding]:
        """Return what is doubtful about all objects that were written; those that are refused are looked at too."""
        everything = Fork(self._engine)
        everything.apply(
            Put(KIND_OF[one.ref.kind], (one.ref.namespace, one.ref.name), one)
            for one in self._folder.broken
            if one.ref.kind in KIND_OF
        )
        refs = [Ref(kind, str(key[0]), str(key[1])) for kind in CHECKS for key, _ in everything.objects(KIND_OF[kind])]
        found = [one for ref in refs if not self._folder.made(ref) for one in everything.ask(doubts, ref)]
        return [one for finding in found if (one := self.located(finding))]

    def _served(self) -> list[Finding]:
        """Return what is noted while the resources of all proxies are compiled."""
        announced = [self._introduced(node_of_pod(pod, istio=True), Locality(), "istio") for pod in self._pods.values()]
        self._engine.apply(announced)
        notes = self._engine.notes(served_to_all, tuple(str(put.key[0]) for put in announced))
        return [one for note in notes if (one := self.located(note))]

    def located(self, note: object) -> Finding | None:
        """Return a note of the engine as a finding with file and line; None if it is none."""
        if isinstance(note, Failure):
            return Finding(
                code="PP0500",
                severity=Severity.ERROR,
                message=f"Internal error in {note.query}{note.key}: {note.reason}; its stand-in is served",
                hint="Please report this with the files that show it",
            )
        if not isinstance(note, Finding):
            return None
        if note.file or note.ref is None:
            return note
        origin = self._folder.where(note.ref, note.field)
        return msgspec.structs.replace(note, file=origin.file, line=origin.line) if origin else note

    def implied(self, ref: Ref) -> bool:
        """Tell whether an object is in its namespace only because its file names none."""
        return self._folder.implied(ref)

    def _announced(self, node: Node, locality: Locality, envoy: str | None) -> MeshProxy:
        put = self._introduced(node, locality, envoy)
        self._engine.apply([put])
        return MeshProxy(self, self._engine, str(put.key[0]))

    @staticmethod
    def _introduced(node: Node, locality: Locality, envoy: str | None) -> Put:
        """Return the write by which a proxy is known. Raises ``Unknown``."""
        proxy = proxy_from_node(node.id, node.metadata, locality)
        if isinstance(proxy, Finding):
            raise Unknown(proxy.message)
        if envoy is not None:
            proxy = msgspec.structs.replace(proxy, istio=envoy == "istio")
        return Put(PROXIES, (f"{node.id} {envoy} {locality}",), proxy)


class MeshProxy:
    """What one proxy of a mesh is served."""

    def __init__(self, mesh: Mesh, engine: Engine, key: str) -> None:
        self._mesh = mesh
        self._engine = engine
        self._key = key

    @property
    def clusters(self) -> list[Cluster]:
        """Its clusters."""
        from envoy_data_plane.envoy.config.cluster.v3 import Cluster

        return [Cluster.parse(bytes(one)) for one in self.tree(CLUSTERS)]

    @property
    def endpoints(self) -> list[ClusterLoadAssignment]:
        """The endpoints of its clusters of type EDS."""
        from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment

        return [ClusterLoadAssignment.parse(bytes(one)) for one in self.tree(ENDPOINTS)]

    @property
    def listeners(self) -> list[Listener]:
        """Its listeners."""
        from envoy_data_plane.envoy.config.listener.v3 import Listener

        return [Listener.parse(bytes(one)) for one in self.tree(LISTENERS)]

    @property
    def routes(self) -> list[RouteConfiguration]:
        """The route configurations that its listeners ask for."""
        from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration

        return [RouteConfiguration.parse(bytes(one)) for one in self.tree(ROUTES)]

    def tree(self, type_url: str) -> Tree:
        """Return all resources of a type, encoded."""
        query, facets = COLLECTIONS[type_url]
        tree: Tree = self._engine.ask(query, *facets(self._engine.ask(view, self._key)))
        return tree

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was noted while this proxy's resources were compiled; sorted, each once."""
        notes = self._engine.notes(served, self._key)
        return _sorted(found for note in notes if (found := self._mesh.located(note)))

    def document(self, parts: Iterable[str] = ("all",)) -> dict[str, Any]:
        """Return everything as plain data: proto field names, every ``Any`` opened. Raises ``Unknown`` for a part.

        ``parts`` are "all", short names ("cds") or long ones ("clusters"). Findings always come along: this proxy's,
        and those about the files, because what could not be read of them is what a proxy is missing.
        """
        wanted = _parts(parts)
        document: dict[str, Any] = {
            part: [opened(url, one) for one in self.tree(url)] for part, url in PARTS.items() if part in wanted
        }
        if "secrets" in wanted:
            document["secrets"] = []
        if "name_table" in wanted:
            document["name_table"] = next((opened(NAMES, one) for one in self.tree(NAMES)), {})
        findings = _sorted([*self._mesh.of_files, *self.findings])
        document["findings"] = [plain_finding(finding) for finding in findings]
        return document


def changes(before: Mesh, after: Mesh, *, envoy: str = "istio") -> list[tuple[tuple[str, ...], tuple[Difference, ...]]]:
    """Return what changes between two meshes: proxies that change alike, with what changes for them. Sorted."""
    alike: dict[tuple[str, ...], list[str]] = {}
    told: dict[tuple[str, ...], tuple[Difference, ...]] = {}
    nothing: dict[str, Any] = {}
    for name in sorted({*before.proxies, *after.proxies}):
        old, new = (mesh.proxy(name, envoy=envoy) if name in mesh.proxies else None for mesh in (before, after))
        if old and new and all(old.tree(url) == new.tree(url) for url in COLLECTIONS):
            continue
        found = tuple(differences(*(_served(one) if one else nothing for one in (old, new))))
        key = tuple(map(repr, found))
        alike.setdefault(key, []).append(name)
        told[key] = found
    return [(tuple(names), told[key]) for key, names in sorted(alike.items(), key=lambda item: item[1])]


def plain_finding(finding: Finding) -> dict[str, Any]:
    """Return a finding as the commands print it."""
    ref = finding.ref
    return {
        "code": finding.code,
        "level": finding.severity.value,
        "message": finding.message,
        "resource": {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name}
        if ref
        else {"kind": "", "namespace": "", "name": ""},
        "field": finding.field,
        "file": finding.file,
        "line": finding.line,
        "hint": finding.hint,
    }


def _served(proxy: MeshProxy) -> dict[str, Any]:
    document = proxy.document()
    del document["findings"]
    return document


def _parts(named: Iterable[str]) -> set[str]:
    wanted: set[str] = set()
    for name in named:
        part = SHORT.get(name, name)
        if part == "all":
            wanted |= set(SHORT.values())
        elif part in SHORT.values():
            wanted.add(part)
        else:
            raise Unknown(f"there is no type {name!r}; there are all, {', '.join(SHORT)}")
    return wanted


def _name(pod: Resource[Pod]) -> str:
    return f"{pod.ref.name}.{pod.ref.namespace}"


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    order = {severity: at for at, severity in enumerate(Severity)}
    return tuple(
        sorted(
            set(findings),
            key=lambda f: (order[f.severity], f.file, f.line, f.code, f.ref or ("", "", ""), f.field, f.message),
        )
    )
