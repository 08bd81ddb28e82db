"""What one proxy of a mesh is served: as dataclasses of envoy-data-plane, as bytes, or as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from pilotpy.analyze.served import served
from pilotpy.api.finding import in_order, located, plain_finding
from pilotpy.compile.collection import CLUSTERS, ENDPOINTS, LISTENERS, NAMES, ROUTES
from pilotpy.compile.collections import COLLECTIONS
from pilotpy.compile.encoded import Tree
from pilotpy.engine import Engine
from pilotpy.explain.document import opened
from pilotpy.mesh.views import view
from pilotpy.model.resource import Finding
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


class MeshProxy:
    """What one proxy of a mesh is served."""

    def __init__(self, engine: Engine, folder: Folder, key: str, wrong: tuple[Finding, ...]) -> None:
        self._engine = engine
        self._folder = folder
        self._key = key
        self._wrong = wrong

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
        return in_order(found for note in notes if (found := located(note, self._folder)))

    def document(self, parts: Iterable[str] = ("all",)) -> dict[str, Any]:
        """Return everything as plain data: proto field names, every ``Any`` opened. Raises ``Unknown`` for a part.

        ``parts`` are "all", short names ("cds") or long ones ("clusters"). Findings always come along: this proxy's,
        and those about the files and the cluster, because what could not be read of them is what a proxy is missing.
        """
        wanted = _parts(parts)
        document: dict[str, Any] = {
            part: [opened(url, one) for one in self.tree(url)] for part, url in PARTS.items() if part in wanted
        }
        if "secrets" in wanted:
            document["secrets"] = []
        if "name_table" in wanted:
            document["name_table"] = next((opened(NAMES, one) for one in self.tree(NAMES)), {})
        findings = in_order([*self._wrong, *self.findings])
        document["findings"] = [plain_finding(finding) for finding in findings]
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
