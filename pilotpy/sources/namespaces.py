"""Which objects count: those of the namespaces that MeshConfig's discoverySelectors choose, and of our revision.

From what the sources say to what of it the mesh is to know. Without selectors every namespace counts; objects that have
no namespace always do. A namespace of another cluster is called <name>@<cluster>, and its labels there decide.
Follows istiod's pkg/kube/namespace/filter.go and pkg/config/labels (istio.io/rev). No I/O.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pilotpy.model.label_selector import LabelSelector
from pilotpy.model.mesh_config import MeshConfig
from pilotpy.model.resource import Ref, Resource
from pilotpy.sources.change import Change, Origin
from pilotpy.sources.mesh_settings import KEYS, MESH_CONFIG

_REVISION: Final = "istio.io/rev"
_NOWHERE: Final = Origin("", 0)
_REVISED: Final = frozenset(
    {
        "AuthorizationPolicy",
        "DestinationRule",
        "EnvoyFilter",
        "Gateway",
        "PeerAuthentication",
        "ProxyConfig",
        "RequestAuthentication",
        "ServiceEntry",
        "Sidecar",
        "Telemetry",
        "TrafficExtension",
        "VirtualService",
        "WasmPlugin",
        "WorkloadEntry",
        "WorkloadGroup",
    }
)
"""Kinds whose objects may name the control plane that they are for."""


class Namespaces:
    """All objects that there are, and which of them count."""

    def __init__(self, revision: str = "") -> None:
        """`revision`: of this control plane; "" is "default"."""
        self._revision = revision or "default"
        self._objects: defaultdict[str, dict[Ref, Resource[Any]]] = defaultdict(dict)
        self._labels: dict[str, Mapping[str, str]] = {}
        self._selectors: tuple[LabelSelector, ...] = ()

    def counting(self, changes: Iterable[Change]) -> list[Change]:
        """Take in changes. Returns what they change among what counts, also where namespaces begin or cease to."""
        found: list[Change] = []
        for change in changes:
            ref, origin, _, new = change
            if ref == MESH_CONFIG:
                found += self._chosen_anew(new.spec if new else MeshConfig())
            elif ref.kind == "Namespace":
                found += self._labelled_anew(ref.name, new.meta.labels if new else {})
            home = _home(ref)
            objects = self._objects[home]
            before = objects.pop(ref, None)
            if new is not None:
                objects[ref] = new
            if ref in KEYS or self._counts(home):
                found += _change(ref, origin, self._ours(before), self._ours(new))
        return found

    def _chosen_anew(self, config: MeshConfig) -> Iterator[Change]:
        if config.discovery_selectors == self._selectors:
            return
        before = {namespace: self._counts(namespace) for namespace in self._objects}
        self._selectors = config.discovery_selectors
        for namespace, counted in before.items():
            yield from self._turned(namespace, counted=counted)

    def _labelled_anew(self, namespace: str, labels: Mapping[str, str]) -> Iterator[Change]:
        counted = self._counts(namespace)
        self._labels[namespace] = labels
        yield from self._turned(namespace, counted=counted)

    def _turned(self, namespace: str, *, counted: bool) -> Iterator[Change]:
        """What it changes that a namespace counts now, or no longer does."""
        counts = self._counts(namespace)
        if counts == counted:
            return
        for ref, one in self._objects[namespace].items():
            if ref in KEYS:
                continue
            ours = self._ours(one)
            yield from _change(ref, _NOWHERE, ours if counted else None, ours if counts else None)

    def _counts(self, namespace: str) -> bool:
        return not namespace or selected(self._selectors, self._labels.get(namespace, {}))

    def _ours(self, one: Resource[Any] | None) -> Resource[Any] | None:
        """The object, if it is for this control plane."""
        if one is None or one.ref.kind not in _REVISED:
            return one
        return one if one.meta.labels.get(_REVISION) in {None, "", self._revision} else None


def _home(ref: Ref) -> str:
    """The namespace that an object is in, and of which cluster; "": it is in none."""
    _, at, cluster = ref.name.partition("@")
    return f"{ref.namespace}{at}{cluster}" if ref.namespace else ""


def selected(selectors: Sequence[LabelSelector], labels: Mapping[str, str]) -> bool:
    """Whether discoverySelectors choose a namespace with these labels: if there are any, one of them has to."""
    return not selectors or any(selector.selects(labels) for selector in selectors)


def _change(ref: Ref, origin: Origin, old: Resource[Any] | None, new: Resource[Any] | None) -> Iterator[Change]:
    if old != new:
        yield Change(ref, origin, old, new)
