"""DestinationRule: policies that Istio admits.

Source: istio/istio pkg/config/validation/validation.go, ValidateDestinationRule.
"""

from __future__ import annotations

from pilotpy.model.destination_rule import (
    ConnectionPoolSettings,
    DestinationRule,
    HTTPSettings,
    OutlierDetection,
    PortTrafficPolicy,
    TCPSettings,
    TrafficPolicy,
    TunnelSettings,
)
from pilotpy.model.resource import Resource
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import names, values
from pilotpy.schema.validation.load_balancing import load_balancer
from pilotpy.schema.validation.selectors import exports, selector
from pilotpy.schema.validation.tls import client_tls


def destination_rule(resource: Resource[DestinationRule]) -> Problems:
    """What is wrong with a DestinationRule."""
    spec, namespace = resource.spec, resource.meta.namespace
    yield from names.wildcard_domain(spec.host, "spec.host")
    yield from traffic_policy(spec.traffic_policy, "spec.trafficPolicy", namespace)
    seen: set[str] = set()
    for i, subset in enumerate(spec.subsets):
        at = below("spec.subsets", i)
        if not names.is_label(subset.name):
            yield Problem(f"{at}.name", f"{subset.name!r} is not a name for a subset", names.AS_LABEL)
        if subset.name in seen:
            yield Problem(f"{at}.name", f"There are two subsets {subset.name!r}")
        seen.add(subset.name)
        yield from names.labels(subset.labels, f"{at}.labels")
        yield from traffic_policy(subset.traffic_policy, f"{at}.trafficPolicy", namespace)
    yield from exports(spec.export_to, namespace, "spec.exportTo")
    if spec.workload_selector and spec.export_to and set(spec.export_to) - {".", namespace}:
        yield Problem("spec.exportTo", "With a workloadSelector the rule is for its own namespace only")
    labels = spec.workload_selector.match_labels if spec.workload_selector else None
    yield from selector(labels, "spec.workloadSelector.matchLabels")


def traffic_policy(policy: TrafficPolicy | None, at: str, namespace: str) -> Problems:
    """What happens to traffic to all ports, and to some."""
    if policy is None:
        return
    if policy == TrafficPolicy():
        yield Problem(at, "The policy says nothing", "Set one of its fields, or leave it out")
    if policy.tunnel and policy.proxy_protocol:
        yield Problem(at, "Only one of tunnel and proxyProtocol may be set")
    yield from _policy(policy, at, namespace)
    for i, port in enumerate(policy.port_level_settings):
        here = below(f"{at}.portLevelSettings", i)
        if port.port is None:
            yield Problem(f"{here}.port", "The port is missing")
        if PortTrafficPolicy(port=port.port) == port:
            yield Problem(here, "The policy says nothing", "Set one of its fields, or leave it out")
        yield from _policy(port, here, namespace)
    if policy.tunnel:
        yield from _tunnel(policy.tunnel, f"{at}.tunnel")


def _policy(policy: TrafficPolicy | PortTrafficPolicy, at: str, namespace: str) -> Problems:
    yield from outlier_detection(policy.outlier_detection, f"{at}.outlierDetection")
    yield from connection_pool(policy.connection_pool, f"{at}.connectionPool")
    yield from load_balancer(policy.load_balancer, f"{at}.loadBalancer", outliers=policy.outlier_detection is not None)
    yield from client_tls(policy.tls, f"{at}.tls", namespace)


def outlier_detection(detection: OutlierDetection | None, at: str) -> Problems:
    """When an endpoint is left out."""
    if detection is None:
        return
    yield from values.duration(detection.base_ejection_time, f"{at}.baseEjectionTime")
    yield from values.duration(detection.interval, f"{at}.interval")
    if detection.consecutive_errors:
        hint = "Use consecutive5xxErrors or consecutiveGatewayErrors"
        yield warning(f"{at}.consecutiveErrors", "consecutiveErrors is deprecated", hint)
    if detection.consecutive_local_origin_failures and not detection.split_external_local_origin_errors:
        message = "Failures of local origin only count once splitExternalLocalOriginErrors is true"
        hint = "Set it to true"
        yield Problem(f"{at}.consecutiveLocalOriginFailures", message, hint)
    yield from values.percent(detection.max_ejection_percent, f"{at}.maxEjectionPercent")
    yield from values.percent(detection.min_health_percent, f"{at}.minHealthPercent")


def connection_pool(pool: ConnectionPoolSettings | None, at: str) -> Problems:
    """Limits on connections and requests."""
    if pool is None:
        return
    if pool.http is None and pool.tcp is None:
        yield Problem(at, "One of tcp and http is needed")
    if pool.http:
        yield from _http(pool.http, f"{at}.http")
    if pool.tcp:
        yield from _tcp(pool.tcp, f"{at}.tcp")


def _http(http: HTTPSettings, at: str) -> Problems:
    for field, number in (
        ("http1MaxPendingRequests", http.http1_max_pending_requests),
        ("http2MaxRequests", http.http2_max_requests),
        ("maxRequestsPerConnection", http.max_requests_per_connection),
        ("maxRetries", http.max_retries),
        ("maxConcurrentStreams", http.max_concurrent_streams),
    ):
        yield from values.not_negative(number, f"{at}.{field}")
    yield from values.duration(http.idle_timeout, f"{at}.idleTimeout")
    if http.h2_upgrade_policy == "UPGRADE" and http.use_client_protocol:
        yield Problem(
            f"{at}.useClientProtocol",
            "The client's protocol is not kept where connections are upgraded",
            "Leave out one of useClientProtocol and h2UpgradePolicy",
        )
    if http.http2_keep_alive:
        pings = http.http2_keep_alive
        for field, span in (("interval", pings.interval), ("timeout", pings.timeout)):
            if span is None:
                yield Problem(f"{at}.http2KeepAlive.{field}", f"The {field} is missing")
            yield from values.duration(span, f"{at}.http2KeepAlive.{field}")


def _tcp(tcp: TCPSettings, at: str) -> Problems:
    yield from values.not_negative(tcp.max_connections, f"{at}.maxConnections")
    yield from values.duration(tcp.connect_timeout, f"{at}.connectTimeout")
    yield from values.duration(tcp.max_connection_duration, f"{at}.maxConnectionDuration")
    if tcp.idle_timeout:  # zero: never
        yield from values.duration(tcp.idle_timeout, f"{at}.idleTimeout")
    if tcp.tcp_keepalive:
        yield from values.duration(tcp.tcp_keepalive.time, f"{at}.tcpKeepalive.time")
        yield from values.duration(tcp.tcp_keepalive.interval, f"{at}.tcpKeepalive.interval")


def _tunnel(tunnel: TunnelSettings, at: str) -> Problems:
    if tunnel.protocol not in {"", "CONNECT", "POST"}:
        yield Problem(f"{at}.protocol", f"{tunnel.protocol!r} is neither CONNECT nor POST")
    if not names.is_address(tunnel.target_host):
        yield from names.domain(tunnel.target_host, f"{at}.targetHost")
    yield from names.port(tunnel.target_port, f"{at}.targetPort")
