"""Which objects count: those of the namespaces that MeshConfig's discoverySelectors choose, and of our revision.

From what the sources say to what of it the mesh is to know. Without selectors every namespace counts; objects that have
no namespace always do. A namespace of another cluster is called <name>@<cluster>, and its labels there decide.
A revision has other names: the tags of webhooks that send Pods to it.
Follows istiod's pkg/kube/namespace/filter.go, pkg/config/labels (istio.io/rev), pkg/revisions/tag_watcher.go. No I/O.
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
_TAG: Final = "istio.io/tag"
_TAGGING: Final = "MutatingWebhookConfiguration"
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
        self._tags: dict[Ref, str] = {}  # of the webhooks that send Pods to it
        self._names = frozenset({self._revision})  # that objects may call it by
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
            elif ref.kind == _TAGGING:
                found += self._tagged_anew(ref, new.meta.labels if new else {})
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

    def _tagged_anew(self, webhook: Ref, labels: Mapping[str, str]) -> Iterator[Change]:
        self._tags.pop(webhook, None)
        if labels.get(_REVISION) == self._revision and (tag := labels.get(_TAG)):
            self._tags[webhook] = tag
        before, self._names = self._names, frozenset({self._revision, *self._tags.values()})
        turned = before ^ self._names
        for namespace, objects in self._objects.items() if turned else ():
            for ref, one in objects.items() if self._counts(namespace) else ():
                if ref.kind in _REVISED and (name := one.meta.labels.get(_REVISION)) in turned:
                    yield Change(ref, _NOWHERE, one if name in before else None, one if name in self._names else None)

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
        name = one.meta.labels.get(_REVISION)
        return one if not name or name in self._names else None


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
