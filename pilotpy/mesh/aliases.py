"""From a service to its other names: Kubernetes Services of type ExternalName that point to it.

Requests for an alias are treated as those for the service that it stands for. Source: istiod's
``resolveServiceAliases`` in ``pilot/pkg/model/push_context.go``.
"""

from __future__ import annotations

from collections.abc import Iterable

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.hosts import service_host, zone
from pilotpy.mesh.kinds import SERVICES
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.resource import Resource


def _target(service: Resource[KubeService]) -> Iterable[str]:
    return [service.spec.external_name.lower().rstrip(".")] if service.spec.type == "ExternalName" else ()


def _target_zone(service: Resource[KubeService]) -> Iterable[str]:
    return map(zone, _target(service))


_BY_TARGET = Index(SERVICES, _target, "services by what they are an alias of")
_BY_TARGET_ZONE = Index(SERVICES, _target_zone, "services by the zone of what they are an alias of")


def aliases(q: Asking, host: str) -> tuple[str, ...]:
    """The hosts that stand for ``host``, aliases of aliases included, sorted; usually empty."""
    return q(_aliases, host) if q(_has_aliases, zone(host)) else ()


@query
def _has_aliases(q: Asking, behind: str) -> bool:
    # For nearly all namespaces nobody has one: one answer for all their services, instead of one for each.
    return bool(q.keys(_BY_TARGET_ZONE, behind))


@query
def _aliases(q: Asking, host: str) -> tuple[str, ...]:
    found: set[str] = set()
    ahead = [host]
    while ahead:
        for namespace, name in q.keys(_BY_TARGET, ahead.pop()):
            alias = service_host(str(namespace), str(name))
            if alias not in found and alias != host:  # else they go round in a circle
                found.add(alias)
                ahead.append(alias)
    return tuple(sorted(found))
