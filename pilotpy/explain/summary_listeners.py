"""From listeners to the rows that ``istioctl proxy-config listener`` shows of them.

Source: istioctl/pkg/writer/envoy/configdump/listener.go for columns, words and order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from pilotpy.explain.summary_routes import path_of

HEADER: Final = ("ADDRESSES", "PORT", "MATCH", "DESTINATION")
_BLACK_HOLE: Final = "BlackHoleCluster"
_MANAGER: Final = "HttpConnectionManager"
_PROXY: Final = "TcpProxy"
_WORDS: Final = {
    ("http/1.0", "http/1.1", "h2c"): "App: HTTP",
    ("istio", "istio-http/1.0", "istio-http/1.1", "istio-h2"): "App: Istio HTTP Plain",
    ("http/1.0", "http/1.1", "h2c", "istio-http/1.0", "istio-http/1.1", "istio-h2"): "App: HTTP TLS",
    ("istio-peer-exchange", "istio"): "App: TCP TLS",
}

Plain = Mapping[str, Any]


class ListenerFilter(NamedTuple):
    """Which listeners are shown; what is empty or 0 excludes none."""

    address: str = ""
    port: int = 0
    type: str = ""  # HTTP, TCP, HTTP+TCP, UNKNOWN

    def takes(self, listener: Plain) -> bool:
        """Whether a listener is shown."""
        return (
            self.address.lower() in ("", *(address.lower() for address in _addresses(listener)))
            and self.port in (0, _port(listener))
            and self.type.upper() in ("", type_of(listener))
        )


def in_order(listeners: Iterable[Plain], wanted: ListenerFilter) -> list[Plain]:
    """Return the listeners that are wanted, sorted by port, address, type and name."""
    return sorted(filter(wanted.takes, listeners), key=_order)


def rows(listeners: Iterable[Plain]) -> list[tuple[object, ...]]:
    """Return a row for each filter chain: listeners in their order, each one's chains by destination backwards."""
    return [
        (",".join(_addresses(listener)), _port(listener), match, destination)
        for listener in listeners
        for destination, match in sorted(
            ((_destination(chain), _match(chain.get("filter_chain_match", {}))) for chain in _chains(listener)),
            key=lambda one: one[0],
            reverse=True,
        )
    ]


def type_of(listener: Plain) -> str:
    """Return what a listener is for: HTTP, TCP, HTTP+TCP or UNKNOWN."""
    filters = [each for chain in _chains(listener) for each in chain.get("filters", [])]
    http = any(_is(each, _MANAGER) for each in filters)
    tcp = any(_is(each, _PROXY) and each["typed_config"].get("cluster") != _BLACK_HOLE for each in filters)
    return {(True, True): "HTTP+TCP", (True, False): "HTTP", (False, True): "TCP"}.get((http, tcp), "UNKNOWN")


def _order(listener: Plain) -> tuple[int, str, str, str]:
    return _port(listener), _addresses(listener)[0], type_of(listener), listener.get("name", "")


def _chains(listener: Plain) -> list[Plain]:
    last = listener.get("default_filter_chain")
    return [*listener.get("filter_chains", []), *([last] if last is not None else [])]


def _addresses(listener: Plain) -> list[str]:
    more = [one.get("address", {}) for one in listener.get("additional_addresses", [])]
    return [_host(address) for address in (listener.get("address", {}), *more)]


def _host(address: Plain) -> str:
    return str(address.get("socket_address", {}).get("address") or address.get("pipe", {}).get("path", ""))


def _port(listener: Plain) -> int:
    return int(listener.get("address", {}).get("socket_address", {}).get("port_value", 0))


def _match(match: Plain) -> str:
    words = []
    if names := match.get("server_names"):
        words.append(f"SNI: {','.join(names)}")
    if transport := match.get("transport_protocol"):
        words.append(f"Trans: {transport}")
    if protocols := match.get("application_protocols"):
        words.append(_WORDS.get(tuple(protocols), f"App: {','.join(protocols)}"))
    port = f":{match['destination_port']}" if "destination_port" in match else ""
    ranges = [f"{one.get('address_prefix')}/{one.get('prefix_len', 0)}" for one in match.get("prefix_ranges", [])]
    if ranges or port:
        words.append(f"Addr: {','.join(ranges) or '*'}{port}")
    return "; ".join(words) or "ALL"


def _destination(chain: Plain) -> str:
    for each in chain.get("filters", []):
        config = each.get("typed_config", {})
        if _is(each, _MANAGER):
            if "route_config" in config:
                return _inline(config["route_config"])
            name = config.get("rds", {}).get("route_config_name")
            return f"Route: {name}" if name else "HTTP"
        if _is(each, _PROXY) and config.get("cluster") != _BLACK_HOLE:
            if "weighted_clusters" in config:
                shares = config["weighted_clusters"].get("clusters", [])
                return ", ".join(f"Cluster: {one.get('name')} ({one.get('weight', 0)})" for one in shares)
            return _to(config.get("cluster", ""))
    return "Non-HTTP/Non-TCP"


def _is(each: Plain, message: str) -> bool:
    return str(each.get("typed_config", {}).get("@type", "")).endswith(f".{message}")


def _to(cluster: str) -> str:
    # PassthroughCluster and InboundPassthroughCluster speak for themselves.
    return cluster if "Cluster" in cluster else f"Cluster: {cluster}"


def _inline(routes: Plain) -> str:
    hosts = routes.get("virtual_hosts", [])
    if cluster := _only_cluster(hosts):
        return _to(cluster)
    told = []
    for host in hosts:
        domains = host.get("domains", [])
        paths = ", ".join(path_of(route.get("match", {})) for route in host.get("routes", []))
        told.append(paths if domains == ["*"] else f"{'/'.join(domains)} {paths}")
    return f"Inline Route: {'; '.join(told)}"


def _only_cluster(hosts: list[Plain]) -> str:
    """The cluster to which all goes, whatever is asked for; empty: there is more to it."""
    match hosts:
        case [{"domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": str(cluster)}}]}]:
            return cluster
        case _:
            return ""
