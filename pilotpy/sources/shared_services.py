"""Services that clusters have in common: one of several, and each as it is where it is.

From Services called <name>@<cluster> to what the mesh knows: under its bare name, what all clusters agree on, the home
cluster's word first; and, of each of the others, everything, as a ``ServiceElsewhere``. Follows istiod's
``pilot/pkg/serviceregistry/aggregate/controller.go``. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from pilotpy.model.kubernetes import KubeService
from pilotpy.model.resource import Ref, Resource
from pilotpy.sources.change import Change
from pilotpy.sources.layers import Layers

_ELSEWHERE = "ServiceElsewhere"


class SharedServices:
    """What each cluster says of each Service."""

    def __init__(self) -> None:
        self._layers: Layers[str] = Layers()  # by cluster, ours is ""

    def merged(self, changes: Iterable[Change]) -> list[Change]:
        """Take in changes. Returns them with those of Services as the mesh knows these."""
        return [one for change in changes for one in (self._merged(change) if _is_service(change) else (change,))]

    def _merged(self, change: Change) -> Iterator[Change]:
        ref, origin, old, new = change
        name, _, cluster = ref.name.partition("@")
        if cluster:
            yield Change(ref._replace(kind=_ELSEWHERE), origin, _elsewhere(old), _elsewhere(new))
            shared = Ref(ref.kind, ref.namespace, name)
            change = Change(shared, origin, None, new and Resource(shared, new.meta, _shared(new.spec)))
        yield from self._layers.uppermost(cluster, [change])


def _is_service(change: Change) -> bool:
    return change.ref.kind == "Service"


def _elsewhere(service: Resource[Any] | None) -> Resource[Any] | None:
    return service and Resource(service.ref._replace(kind=_ELSEWHERE), service.meta, service.spec)


def _shared(spec: KubeService) -> KubeService:
    """What of a Service holds in other clusters too: its addresses mean something in its own cluster alone."""
    addressed = spec.cluster_ip not in {"", "None"}
    return replace(
        spec,
        type=spec.type if spec.type == "ExternalName" else "ClusterIP",
        cluster_ip="" if addressed else spec.cluster_ip,
        cluster_ips=() if addressed else spec.cluster_ips,
        external_ips=(),
        status=None,
    )
