"""A mesh from files, a cluster or both, to look at. The commands go in through this door too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from os import PathLike
from typing import Any

import msgspec

from pilotpy.agent.node import Node, node_of_pod, pod_addresses, workload_name
from pilotpy.analyze.default_resources import DEFAULT_RESOURCES
from pilotpy.analyze.doubts import CHECKS, doubts
from pilotpy.analyze.kinds import KIND_OF, NOW
from pilotpy.analyze.served import served_to_all
from pilotpy.api.finding import in_order, located
from pilotpy.api.proxy import MeshProxy, Unknown
from pilotpy.engine import Engine, Fork, Put
from pilotpy.mesh.clusters import HOME_CLUSTER
from pilotpy.mesh.inputs import puts
from pilotpy.mesh.kinds import PODS, PROXIES
from pilotpy.mesh.proxy import proxy_from_node
from pilotpy.mesh.service import Locality
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Finding, Ref, Resource
from pilotpy.sources.folder import Folder
from pilotpy.sources.namespaces import Namespaces
from pilotpy.sources.snapshot import Snapshot


def load(
    *paths: str | PathLike[str],
    mesh_config: str | PathLike[str] | None = None,
    mesh_networks: str | PathLike[str] | None = None,
    default_resources: bool = False,
    cluster: Snapshot | None = None,
) -> Mesh:
    """Return the mesh that files and folders describe, with the Pods and addresses that a cluster would add.

    ``default_resources`` adds what every installation of Istio has, unless the files say otherwise. Files over a
    ``cluster`` are as if applied to it, before its controllers have done anything about them.
    What is wrong in them is in ``Mesh.findings``; nothing is raised for it.
    """
    folder = Folder(paths, mesh_config=mesh_config, mesh_networks=mesh_networks)
    engine = Engine()
    if cluster is None:
        changes, wrong = Namespaces().counting(folder.load()), folder.findings
    else:
        engine.apply([Put(HOME_CLUSTER, ("",), cluster.cluster)])
        changes, wrong = cluster.under(folder), cluster.wrong(folder)
    engine.apply([Put(NOW, ("",), datetime.now(UTC)), *puts(changes, KIND_OF)])
    if default_resources:
        written = {change.ref for change in changes}
        absent = (one for one in DEFAULT_RESOURCES if one.ref not in written)
        engine.apply(Put(KIND_OF[one.ref.kind], (one.ref.namespace, one.ref.name), one) for one in absent)
    return Mesh(engine, folder, wrong)


class Mesh:
    """A mesh as it is described, compiled as far as it is looked at."""

    def __init__(self, engine: Engine, folder: Folder, wrong: tuple[Finding, ...]) -> None:
        """`wrong`: with the files and the cluster, and with each object in them by itself; by file and line."""
        self._engine = engine
        self._folder = folder
        self._wrong = wrong

    @cached_property
    def proxies(self) -> tuple[str, ...]:
        """The names of all Pods that have an address, as ``pod.namespace``; sorted."""
        return tuple(self._pods)

    @cached_property
    def _pods(self) -> dict[str, Resource[Pod]]:
        """All Pods that have an address, but for those of other clusters, by the names of their proxies; sorted."""
        found = {
            _name(pod): pod for _, pod in self._engine.objects(PODS) if pod_addresses(pod) and "@" not in pod.ref.name
        }
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
        return in_order([*self._wrong, *doubtful, *served])

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
        return [one for finding in found if (one := located(finding, self._folder))]

    def _served(self) -> list[Finding]:
        """Return what is noted while the resources of all proxies are compiled."""
        announced = [self._introduced(node_of_pod(pod, istio=True), Locality(), "istio") for pod in self._pods.values()]
        self._engine.apply(announced)
        notes = self._engine.notes(served_to_all, tuple(str(put.key[0]) for put in announced))
        return [one for note in notes if (one := located(note, self._folder))]

    def implied(self, ref: Ref) -> bool:
        """Tell whether an object is in its namespace only because its file names none."""
        return self._folder.implied(ref)

    def _announced(self, node: Node, locality: Locality, envoy: str | None) -> MeshProxy:
        put = self._introduced(node, locality, envoy)
        self._engine.apply([put])
        return MeshProxy(self._engine, self._folder, str(put.key[0]), self._wrong)

    @staticmethod
    def _introduced(node: Node, locality: Locality, envoy: str | None) -> Put:
        """Return the write by which a proxy is known. Raises ``Unknown``."""
        proxy = proxy_from_node(node.id, node.metadata, locality)
        if isinstance(proxy, Finding):
            raise Unknown(proxy.message)
        if envoy is not None:
            proxy = msgspec.structs.replace(proxy, istio=envoy == "istio")
        return Put(PROXIES, (f"{node.id} {envoy} {locality}",), proxy)


def _name(pod: Resource[Pod]) -> str:
    return f"{pod.ref.name}.{pod.ref.namespace}"
