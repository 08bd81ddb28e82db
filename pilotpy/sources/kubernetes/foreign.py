"""Objects of another cluster, as this one knows them.

They are called <name>@<cluster>, which no object of Kubernetes can be, so that those of all clusters lie beside each
other. Source: istio pilot/pkg/serviceregistry (aggregate/controller.go, kube/controller).
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from pilotpy.model.kubernetes import EndpointSlice, KubeEndpoints, ObjectReference
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Ref, Resource
from pilotpy.sources.change import Change
from pilotpy.sources.kubernetes.mirror import NOWHERE


def foreign_change(change: Change, cluster: str) -> Change:
    """A change in another cluster, as one in ours."""
    new = None if change.new is None else foreign(change.new, cluster)
    return Change(_ref(change.ref, cluster), NOWHERE, None, new)


def foreign(one: Resource[Any], cluster: str) -> Resource[Any]:
    """An object of another cluster, as one of ours."""
    return Resource(_ref(one.ref, cluster), one.meta, _spec(one.spec, cluster))


def _ref(ref: Ref, cluster: str) -> Ref:
    return ref._replace(name=f"{ref.name}@{cluster}")


def _spec(spec: Any, cluster: str) -> Any:
    match spec:
        case EndpointSlice():
            endpoints = [
                replace(one, node_name=_at(one.node_name, cluster), target_ref=_target(one.target_ref, cluster))
                for one in spec.endpoints
            ]
            return replace(spec, endpoints=tuple(endpoints))
        case KubeEndpoints():
            return replace(spec, subsets=tuple(_subset(one, cluster) for one in spec.subsets))
        case Pod():
            return replace(spec, node_name=_at(spec.node_name, cluster) or "")
    return spec


def _subset(subset: Any, cluster: str) -> Any:
    def moved(addresses: Any) -> Any:
        return tuple(
            replace(one, node_name=_at(one.node_name, cluster), target_ref=_target(one.target_ref, cluster))
            for one in addresses
        )

    return replace(subset, addresses=moved(subset.addresses), not_ready_addresses=moved(subset.not_ready_addresses))


def _target(target: ObjectReference | None, cluster: str) -> ObjectReference | None:
    return replace(target, name=f"{target.name}@{cluster}") if target and target.kind == "Pod" else target


def _at(node: str | None, cluster: str) -> str | None:
    return f"{node}@{cluster}" if node else node
