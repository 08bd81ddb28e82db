"""From a proxy's node and where its control plane is to the configuration that its Envoy starts with.

Pure. The same names, ports and statistics as Istio's, because dashboards and istioctl look for them.

Source  Envoy ``config/bootstrap/v3/bootstrap.proto``; istio/istio ``tools/packaging/common/envoy_bootstrap.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from pilotpy.agent.node import KEYLESS, Node

SO_MARK = {"level": 1, "name": 36}  # SOL_SOCKET, SO_MARK: numbers of Linux

Message = dict[str, Any]
"""A message of Envoy's API as JSON, proto field names."""


class Address(NamedTuple):
    """Where something listens: a host and port, or with port 0 the path of a unix socket."""

    host: str
    port: int = 0

    def message(self) -> Message:
        """As Envoy's ``core.v3.Address``."""
        if not self.port:
            return {"pipe": {"path": self.host}}
        return {"socket_address": {"address": self.host, "port_value": self.port}}


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """How an Envoy is started; the defaults are Istio's."""

    node: Node
    discovery: Address
    secrets: Address | None = None  # who hands out the workload's certificate; None: nobody
    delta: bool = True  # incremental xDS; else state of the world
    locality: tuple[str, str, str] = ("", "", "")  # region, zone, subzone
    admin_port: int = 15000
    ready_port: int = 15021
    metrics_port: int = 15090
    agent_port: int | None = 15020  # who answers on ready_port; None: Envoy itself, without an agent
    ipv6: bool = False  # the proxy's own listeners are on IPv6
    mark: int = 0  # put on every packet that Envoy sends, where its user cannot tell them; 0: none
    max_connections: int = 2**31 - 1
    statistics: tuple[str, ...] = ()  # prefixes of further ones to keep

    @property
    def localhost(self) -> str:
        """The address that only the pod itself reaches."""
        return "::1" if self.ipv6 else "127.0.0.1"

    @property
    def wildcard(self) -> str:
        """The address that stands for all."""
        return "::" if self.ipv6 else "0.0.0.0"  # noqa: S104 - health and metrics are for others


def bootstrap(start: Start) -> Message:
    """The whole bootstrap, as JSON with proto field names."""
    region, zone, subzone = start.locality
    return {
        "node": {
            "id": start.node.id,
            "cluster": start.node.cluster,
            "locality": {"region": region, "zone": zone, "sub_zone": subzone},
            "metadata": start.node.metadata | ({} if start.secrets else {KEYLESS: "true"}),
        },
        "layered_runtime": {
            "layers": [
                {"name": "global config", "static_layer": dict(_RUNTIME)},
                {"name": "admin", "admin_layer": {}},
            ]
        },
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": _typed("bootstrap.internal_listener.v3.InternalListener", {}),
            }
        ],
        "admin": {"address": Address(start.localhost, start.admin_port).message()},
        "dynamic_resources": {
            # Without a configuration there is nothing to serve, so Envoy waits for the first as long as it takes.
            "lds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
            "cds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
            "ads_config": {
                "api_type": "DELTA_GRPC" if start.delta else "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
        },
        "static_resources": {"clusters": _clusters(start), "listeners": _listeners(start)},
        "stats_config": _statistics(start),
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": _typed(
                        "resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                        {"max_active_downstream_connections": str(start.max_connections)},
                    ),
                }
            ]
        },
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        **_marking(start.mark),
    }


def bootstrap_text(start: Start) -> str:
    """As a file that Envoy reads."""
    return json.dumps(bootstrap(start), indent=1)


_RUNTIME: Mapping[str, object] = {
    "re2.max_program_size.error_level": 32768,
    "envoy.reloadable_features.http_reject_path_with_fragment": False,
}

_TAGS = {
    # The part in the outer brackets leaves the name, the part in the inner ones is the tag's value.
    "cluster_name": r"^cluster(\.(.+?);)",
    "http_conn_manager_prefix": r"^http\.((.+?);\.)",
    "http_conn_manager_listener_prefix": r"^listener(?=\.).*?\.http\.((.+?);\.)",
    "listener_address": r"^listener\.(((?:\d+\.){3}\d+_\d+|\[[\da-fA-F:._]+\]_\d+)\.)",
    "tcp_prefix": r"^tcp\.((.*?)\.)\w+?$",
    "response_code": r"_rq(_(\d{3}))$",
    "response_code_class": r"_rq(_(\dxx))$",
    "authz_enforce_result": r"rbac(\.(allowed|denied))",
    "authz_dry_run_action": r"(\.istio_dry_run_(allow|deny)_)",
    "authz_dry_run_result": r"(\.shadow_(allowed|denied))",
}

_KEPT_PREFIXES = (
    "reporter=",
    "cluster_manager",
    "listener_manager",
    "server",
    "cluster.xds-grpc",
    "wasm",
    "component",
    "istio",
)
_KEPT_SUFFIXES = ("rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied", "downstream_cx_active")
_KEPT_PATTERNS = (r"vhost\..*\.route\..*",)


def _statistics(start: Start) -> Message:
    """Which statistics are kept, out of thousands, and which parts of their names become tags."""
    kept: list[Message] = [{"prefix": prefix} for prefix in (*_KEPT_PREFIXES, *start.statistics)]
    kept += [{"suffix": suffix} for suffix in _KEPT_SUFFIXES]
    kept += [{"safe_regex": {"regex": pattern}} for pattern in _KEPT_PATTERNS]
    return {
        "use_all_default_tags": False,
        "stats_tags": [{"tag_name": name, "regex": regex} for name, regex in _TAGS.items()],
        "stats_matcher": {"inclusion_list": {"patterns": kept}},
    }


def _clusters(start: Start) -> list[Message]:
    discovery = _grpc_cluster("xds-grpc", start.discovery) | {
        # One stream of discovery, and it must never be refused for a limit or end unnoticed.
        "circuit_breakers": {
            "thresholds": [
                {
                    "priority": priority,
                    "max_connections": 100000,
                    "max_pending_requests": 100000,
                    "max_requests": 100000,
                }
                for priority in ("DEFAULT", "HIGH")
            ]
        },
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 300}},
    }
    clusters = [discovery, _cluster("prometheus_stats", Address(start.localhost, start.admin_port))]
    if start.secrets is not None:
        clusters.append(_grpc_cluster("sds-grpc", start.secrets))
    if start.agent_port is not None:
        clusters.append(_cluster("agent", Address(start.localhost, start.agent_port)))
    return clusters


def _grpc_cluster(name: str, address: Address) -> Message:
    return _cluster(name, address) | {
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": _typed(
                "upstreams.http.v3.HttpProtocolOptions", {"explicit_http_config": {"http2_protocol_options": {}}}
            )
        },
    }


def _cluster(name: str, address: Address) -> Message:
    endpoint = {"endpoint": {"address": address.message()}}
    return {
        "name": name,
        "alt_stat_name": f"{name};",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _listeners(start: Start) -> list[Message]:
    ready = "/healthz/ready"
    metrics = _listener(start, start.metrics_port, "stats", [_route("/stats/prometheus", "prometheus_stats")])
    if start.agent_port is not None:
        return [metrics, _listener(start, start.ready_port, "agent", [_route(ready, "agent")])]
    check = {
        "name": "envoy.filters.http.health_check",
        "typed_config": _typed(
            "filters.http.health_check.v3.HealthCheck",
            {"pass_through_mode": False, "headers": [{"name": ":path", "string_match": {"exact": ready}}]},
        ),
    }
    return [metrics, _listener(start, start.ready_port, "agent", [], [check])]


def _listener(
    start: Start, port: int, stat_prefix: str, routes: list[Message], filters: Iterable[Message] = ()
) -> Message:
    """A listener of plain HTTP that stays open when all others are full."""
    connections = {
        "stat_prefix": stat_prefix,
        "route_config": {"virtual_hosts": [{"name": "backend", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            *filters,
            {"name": "envoy.filters.http.router", "typed_config": _typed("filters.http.router.v3.Router", {})},
        ],
    }
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": _typed("filters.network.http_connection_manager.v3.HttpConnectionManager", connections),
    }
    return {
        "name": f"{start.wildcard}_{port}",
        "address": Address(start.wildcard, port).message(),
        "ignore_global_conn_limit": True,
        "bypass_overload_manager": True,
        "filter_chains": [{"filters": [manager]}],
    }


def _route(prefix: str, cluster: str) -> Message:
    return {"match": {"prefix": prefix}, "route": {"cluster": cluster}}


def _marking(mark: int) -> Message:
    if not mark:
        return {}
    option = {**SO_MARK, "int_value": mark, "state": "STATE_PREBIND", "description": "traffic of the proxy itself"}
    return {"cluster_manager": {"upstream_bind_config": {"socket_options": [option]}}}


def _typed(name: str, fields: Message) -> Message:
    return {"@type": f"type.googleapis.com/envoy.extensions.{name}", **fields}
