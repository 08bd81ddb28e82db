"""Which collections of a cluster are watched, where people want fewer than all.

Resources by name, "virtualservices.networking.istio.io", or "*.istio.io" for all whose names end so; only what is
installed by definitions can be left out. A namespace stands for all others; what belongs to none is still watched,
and so are settings and keys where they are. Source: istio pkg/kube/kclient (crdwatcher.go, client.go).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pilotpy.ops.settings import Settings
from pilotpy.sources.kubernetes.collection import Collection

_OF_NO_NAMESPACE: Final = frozenset(
    {"Namespace", "Node", "GatewayClass", "IngressClass", "MutatingWebhookConfiguration"}
)
_OF_THE_SYSTEM: Final = frozenset({"ConfigMap", "Secret"})


def watched(collections: Iterable[Collection], settings: Settings) -> tuple[Collection, ...]:
    """Return what is watched, in the given order; kinds of settings and keys once more for the system's namespace."""
    kept = [one for one in collections if not one.defined or _is_wanted(one.name, settings)]
    only = settings.watched_namespace
    if not only:
        return tuple(kept)
    found = [one if one.kind in _OF_NO_NAMESPACE else one._replace(namespace=only) for one in kept]
    if only != settings.system_namespace:
        found += [one._replace(namespace=settings.system_namespace) for one in kept if one.kind in _OF_THE_SYSTEM]
    return tuple(found)


def _is_wanted(name: str, settings: Settings) -> bool:
    return not _is_among(name, settings.ignored_resources) or _is_among(name, settings.included_resources)


def _is_among(name: str, listed: Iterable[str]) -> bool:
    return any(name.endswith(one.removeprefix("*.")) if one.startswith("*.") else name == one for one in listed)
