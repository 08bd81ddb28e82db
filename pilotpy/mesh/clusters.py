"""The clusters of a mesh: which one an object is of, and which services keep to their own.

Objects of other clusters are called <name>@<cluster>; those of the cluster that the settings are in have bare names.
Follows istiod's ``pilot/pkg/model/cluster_local.go``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pilotpy.engine import Asking, Index, Kind, query
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.hosts import DOMAIN, is_wildcard, within
from pilotpy.mesh.kinds import NAMESPACES
from pilotpy.mesh.service import HOME
from pilotpy.model.kubernetes import Namespace
from pilotpy.model.resource import Resource

HOME_CLUSTER: Kind[str] = Kind("HomeCluster")
"""What the proxies of the cluster that the settings are in call it, under the one key ("",)."""

_KEPT: Final = (f"*.kube-system.svc.{DOMAIN}", f"kubernetes.default.svc.{DOMAIN}")


def _cluster(namespace: Resource[Namespace]) -> Iterable[str]:
    return (parted(namespace.ref.name)[1],)


_NAMESPACES_BY_CLUSTER = Index(NAMESPACES, _cluster, "namespaces by cluster")


@query
def home_cluster(q: Asking) -> str:
    """Return the name of the cluster that the settings are in; never empty."""
    return q.get(HOME_CLUSTER, "") or HOME


def parted(name: str) -> tuple[str, str]:
    """Return the bare name of an object, and its cluster; "": home."""
    bare, _, cluster = name.partition("@")
    return bare, cluster


def in_cluster(q: Asking, name: str, cluster: str) -> str:
    """Return what the object of this name in a cluster is called here."""
    return name if cluster == q(home_cluster) else f"{name}@{cluster}"


@query
def are_several(q: Asking) -> bool:
    """Tell whether anything is known of other clusters."""
    return any(q.buckets(_NAMESPACES_BY_CLUSTER))


def other_cluster(q: Asking, name: str) -> str:
    """Return the name of a cluster if it is one that we know and not the home cluster, else ""."""
    return name if name != q(home_cluster) and q.keys(_NAMESPACES_BY_CLUSTER, name) else ""


def keeps_to_its_cluster(q: Asking, host: str) -> bool:
    """Tell whether clients are to reach a service only where it runs in their own cluster."""
    return any(within(host, pattern) for pattern in q(cluster_local_hosts))


@query
def cluster_local_hosts(q: Asking) -> tuple[str, ...]:
    """Return the hosts, some with wildcards, that are reached within their own cluster alone; sorted, no repeats.

    What nobody should reach elsewhere by default, unless a setting says otherwise, and what settings add.
    """
    config = q(mesh_config)
    kept = {*_KEPT, _discovery_host(config.default_config.discovery_address)}
    added: set[str] = set()
    for one in config.service_settings:
        if one.settings is not None and one.settings.cluster_local:
            added.update(one.hosts)
        else:
            kept = {default for default in kept if not any(_overrides(host, default) for host in one.hosts)}
    return tuple(sorted(added | kept))


def _overrides(host: str, default: str) -> bool:
    return host == default or (is_wildcard(default) and host.endswith(default[1:]))


def _discovery_host(address: str) -> str:
    host = address.rpartition(":")[0] or address
    return host if host.endswith(DOMAIN) else f"{host}.{DOMAIN}"
