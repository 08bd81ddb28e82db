"""From clusters to the rows that ``istioctl proxy-config cluster`` shows of them.

Source: istioctl/pkg/writer/envoy/configdump/cluster.go for columns and order; reference for names: ``compile.naming``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

HEADER: Final = ("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE")


class ClusterName(NamedTuple):
    """The parts of a cluster's name, "outbound|80|v1|reviews.default.svc.cluster.local"; another name is all host."""

    direction: str
    port: int  # 0: none
    subset: str
    host: str

    @classmethod
    def of(cls, name: str) -> ClusterName:
        """From a cluster's name, or the name for SNI, whose parts are separated by "_."."""
        parts = name.split("|") if "|" in name else name.split("_.")
        if len(parts) != 4 or not parts[1].rstrip("_").isdigit():
            return cls("", 0, "", name)
        return cls(parts[0], int(parts[1].rstrip("_")), parts[2], parts[3])

    @property
    def order(self) -> tuple[str, str, int, str]:
        """Sort key of whatever is listed by cluster: host, subset, port, direction."""
        return self.host, self.subset, self.port, self.direction


class ClusterFilter(NamedTuple):
    """Which clusters are shown; what is empty or 0 excludes none."""

    fqdn: str = ""  # part of the host
    port: int = 0
    subset: str = ""  # part of the subset
    direction: str = ""  # inbound, outbound

    def takes(self, cluster: Mapping[str, Any]) -> bool:
        """Whether a cluster is shown."""
        name = ClusterName.of(cluster.get("name", ""))
        return (
            self.fqdn in name.host
            and self.port in (0, name.port)
            and self.subset in name.subset
            and (not self.direction or name.direction.startswith(self.direction.lower()))
        )


def in_order(clusters: Iterable[Mapping[str, Any]], wanted: ClusterFilter) -> list[Mapping[str, Any]]:
    """Return the clusters that are wanted, sorted as they are listed."""
    return sorted(filter(wanted.takes, clusters), key=lambda cluster: ClusterName.of(cluster.get("name", "")).order)


def rows(clusters: Iterable[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    """Return a row for each cluster, in their order."""
    found: list[tuple[object, ...]] = []
    for cluster in clusters:
        direction, port, subset, host = ClusterName.of(cluster.get("name", ""))
        kind = cluster.get("type") or cluster.get("cluster_type", {}).get("name", "STATIC")
        # The workload's own ports have no host.
        found.append((host, port or "-", subset or "-", direction or "-", kind, written_in(cluster)))
    return found


def written_in(resource: Mapping[str, Any]) -> str:
    """Return the object that made a cluster or route, as NAME.NAMESPACE; "": none; "<unknown>": none of routing's."""
    path = resource.get("metadata", {}).get("filter_metadata", {}).get("istio", {}).get("config", "")
    match str(path).split("/"):
        case ["", "apis", "networking.istio.io", _, "namespaces", namespace, _, name]:
            return f"{name}.{namespace}"
        case [""] | ["", "apis", "networking.istio.io", *_]:
            return ""
        case _:
            return "<unknown>"
