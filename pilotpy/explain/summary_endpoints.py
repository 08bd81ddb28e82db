"""From endpoints to rows: as an Envoy sees its hosts now, and as load assignments list them.

Source: istioctl/pkg/writer/envoy/clusters/clusters.go and configdump/endpoint.go for columns, words and order;
envoy/admin/v3/clusters.proto for hosts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from pilotpy.explain.summary_clusters import ClusterName

HEADER: Final = ("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER")
ASSIGNED_HEADER: Final = ("NAME", "STATUS", "LOCALITY", "CLUSTER", "PRIORITY")  # the last is ours
# EDS leaves it out where nothing is wrong; Envoy's hosts then are healthy.
_UNSAID: Final = "HEALTHY"
_PIPE: Final = "unix://"

Plain = Mapping[str, Any]


class EndpointFilter(NamedTuple):
    """Which endpoints are shown; what is empty or 0 excludes none."""

    address: str = ""
    port: int = 0
    cluster: str = ""  # its name, whole
    status: str = ""  # HEALTHY, UNHEALTHY, DRAINING...

    def takes(self, address: Plain, cluster: str, status: str) -> bool:
        """Whether an endpoint is shown."""
        host, port = _place(address)
        return (
            self.address.lower() in ("", host.lower(), f"{host}:{port}".lower())
            and self.port in (0, port)
            and self.cluster.lower() in ("", cluster.lower())
            and self.status.upper() in ("", status)
        )


def hosts(statuses: Iterable[Plain], wanted: EndpointFilter) -> list[Plain]:
    """Return the clusters' statuses with the hosts that are wanted, sorted by cluster; none without any."""
    kept: list[Plain] = []
    for cluster in sorted(statuses, key=lambda one: ClusterName.of(one.get("name", "")).order):
        found = [
            host
            for host in cluster.get("host_statuses", [])
            if wanted.takes(host.get("address", {}), cluster.get("name", ""), _host_status(host))
        ]
        if found:
            kept.append({**cluster, "host_statuses": found})
    return kept


def host_rows(statuses: Iterable[Plain]) -> list[tuple[object, ...]]:
    """Return a row for each host, sorted by address, port and cluster."""
    found = [
        (
            *_place(host.get("address", {})),
            _host_status(host),
            "FAILED" if host.get("health_status", {}).get("failed_outlier_check") else "OK",
            cluster.get("name", ""),
        )
        for cluster in statuses
        for host in cluster.get("host_statuses", [])
    ]
    found.sort(key=lambda row: (row[0], row[1], row[-1]))
    return [(_written(host, port), *rest) for host, port, *rest in found]


def assignments(listed: Iterable[Plain], wanted: EndpointFilter) -> list[Plain]:
    """Return the load assignments with the endpoints that are wanted, sorted by cluster; none without any."""
    kept: list[Plain] = []
    for assignment in sorted(listed, key=lambda one: ClusterName.of(one.get("cluster_name", "")).order):
        localities = [
            {**locality, "lb_endpoints": found}
            for locality in assignment.get("endpoints", [])
            if (
                found := [
                    one
                    for one in locality.get("lb_endpoints", [])
                    if wanted.takes(
                        _address(one), assignment.get("cluster_name", ""), one.get("health_status", _UNSAID)
                    )
                ]
            )
        ]
        if localities:
            kept.append({**assignment, "endpoints": localities})
    return kept


def assignment_rows(listed: Iterable[Plain]) -> list[tuple[object, ...]]:
    """Return a row for each endpoint, in the order of the assignments."""
    return list(_assignment_rows(listed))


def _assignment_rows(listed: Iterable[Plain]) -> Iterator[tuple[object, ...]]:
    for assignment in listed:
        for locality in assignment.get("endpoints", []):
            where = locality.get("locality", {})
            parts = [where.get(key, "") for key in ("region", "zone", "sub_zone")]
            for one in locality.get("lb_endpoints", []):
                yield (
                    _written(*_place(_address(one))).removeprefix(_PIPE),
                    one.get("health_status", _UNSAID),
                    "/".join(parts).rstrip("/"),
                    assignment.get("cluster_name", ""),
                    locality.get("priority", 0),
                )


def _host_status(host: Plain) -> str:
    return str(host.get("health_status", {}).get("eds_health_status", "UNKNOWN"))


def _address(endpoint: Plain) -> Plain:
    address: Plain = endpoint.get("endpoint", {}).get("address", {})
    return address


def _place(address: Plain) -> tuple[str, int]:
    """Host and port; port 0: what is no socket, all in one."""
    if "socket_address" in address:
        return str(address["socket_address"].get("address", "")), int(address["socket_address"].get("port_value", 0))
    if "pipe" in address:
        return f"{_PIPE}{address['pipe'].get('path', '')}", 0
    internal = address.get("envoy_internal_address", {})
    if "server_listener_name" in internal:
        return f"envoy://{internal['server_listener_name']}/{internal.get('endpoint_id', '')}", 0
    return "unknown", 0


def _written(host: str, port: int) -> str:
    return f"{host}:{port}" if port else host
