"""Names of clusters, as istiod makes them: people, dashboards and Istio's filters parse them.

``outbound|80|v1|reviews.default.svc.cluster.local``, ``inbound|9080||``. Source: istiod's
``pilot/pkg/model/push_context.go`` (BuildSubsetKey and its kin).
"""

from __future__ import annotations

from typing import Final, NamedTuple

BLACK_HOLE: Final = "BlackHoleCluster"
PASSTHROUGH: Final = "PassthroughCluster"
INBOUND_PASSTHROUGH: Final = "InboundPassthroughCluster"
UNKNOWN: Final = "UnknownService"  # where a route goes whose destination names no host

# Ends every statistics prefix: names hold dots themselves, and the tag extractors of Istio's bootstrap need an end.
STAT_END: Final = ";"

_LARGEST_PORT: Final = 65535


class OutboundName(NamedTuple):
    """What the name of an outbound cluster says."""

    port: int
    subset: str
    host: str


def cluster_name(port: int, subset: str, host: str) -> str:
    """The cluster of a service's port; ``subset`` is "" for all of its endpoints."""
    return f"outbound|{port}|{subset}|{host}"


def inbound_cluster_name(port: int) -> str:
    """The cluster of a workload's own port (not the service's)."""
    return f"inbound|{port}||"


def default_sni(port: int, subset: str, host: str) -> str:
    """The server name of Istio's mutual TLS to a cluster; also the name of its SNI-DNAT cluster."""
    return f"outbound_.{port}_.{subset}_.{host}"


def outbound_name(name: str) -> OutboundName | None:
    """What the name of an outbound cluster says, in either spelling; None if it is no such name."""
    direction, separator = ("outbound|", "|") if name.startswith("outbound|") else ("outbound_.", "_.")
    if not name.startswith(direction):
        return None
    parts = name.removeprefix(direction).split(separator, 2)
    if len(parts) != 3 or not (parts[0].isascii() and parts[0].isdigit()) or not parts[2]:
        return None
    # Clients ask for what they like: digits without end would cost their square.
    port = int(parts[0]) if len(parts[0]) <= 5 else 0
    return OutboundName(port, parts[1], parts[2]) if 0 < port <= _LARGEST_PORT else None
