"""Limits on connections, requests and retries: ``connectionPool`` and ``retryBudget`` to breakers and timeouts.

Envoy's own limits (1024) refuse requests under loads that are nothing special, so where a user sets none there is none.
Source: Istio's ``destination_rule.proto``, message ConnectionPoolSettings; Envoy's ``circuit_breaker.proto``.
"""

from __future__ import annotations

from pilotpy.compile.draft import Draft
from pilotpy.model.destination_rule import HTTPSettings, RetryBudget, TcpKeepalive, TCPSettings
from pilotpy_protos.envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster

_NO_LIMIT = 2**32 - 1
_RETRY_PERCENT = 20.0
_RETRY_CONCURRENCY = 3


def connection_pool(draft: Draft) -> None:
    """Write breakers, connect timeout, keepalive, and the limits of each connection."""
    settings = draft.policy.connection_pool
    tcp = settings.tcp if settings and settings.tcp else TCPSettings()
    http = settings.http if settings and settings.http else HTTPSettings()
    cluster = draft.cluster

    cluster.connect_timeout.FromTimedelta(tcp.connect_timeout or draft.defaults.connect_timeout)
    thresholds = cluster.circuit_breakers.thresholds.add()
    # Negative limits are refused by validation, and no limit here.
    thresholds.max_connections.value = tcp.max_connections if tcp.max_connections > 0 else _NO_LIMIT
    thresholds.max_pending_requests.value = _limit(http.http1_max_pending_requests)
    thresholds.max_requests.value = _limit(http.http2_max_requests)
    thresholds.max_retries.value = _limit(http.max_retries)
    if draft.policy.retry_budget is not None:
        _retry_budget(thresholds, draft.policy.retry_budget)
    for keepalive in (draft.defaults.tcp_keepalive, tcp.tcp_keepalive):
        if keepalive is not None:
            _keepalive(cluster, keepalive)
    _each_connection(draft, tcp, http)


def without_http2(draft: Draft) -> tuple[str, ...]:
    """The limits in force that only HTTP/2 has, on a draft that does not speak it by choice; they are left out."""
    settings = draft.policy.connection_pool
    if settings is None or settings.http is None or draft.http.explicit_http_config.HasField("http2_protocol_options"):
        return ()
    written = (
        ("maxConcurrentStreams", settings.http.max_concurrent_streams > 0),
        ("http2KeepAlive", settings.http.http2_keep_alive is not None),
    )
    return tuple(name for name, there in written if there)


def _limit(written: int) -> int:
    return written if written > 0 else _NO_LIMIT


def _retry_budget(thresholds: CircuitBreakers.Thresholds, budget: RetryBudget) -> None:
    out = thresholds.retry_budget
    out.budget_percent.value = _RETRY_PERCENT if budget.percent is None else budget.percent
    out.min_retry_concurrency.value = budget.min_retry_concurrency or _RETRY_CONCURRENCY


def _keepalive(cluster: Cluster, keepalive: TcpKeepalive) -> None:
    out = cluster.upstream_connection_options.tcp_keepalive
    out.SetInParent()  # with nothing in it, it turns keepalive on as the operating system has it
    if keepalive.probes:
        out.keepalive_probes.value = keepalive.probes
    if keepalive.time is not None:
        out.keepalive_time.value = int(keepalive.time.total_seconds())
    if keepalive.interval is not None:
        out.keepalive_interval.value = int(keepalive.interval.total_seconds())


def _each_connection(draft: Draft, tcp: TCPSettings, http: HTTPSettings) -> None:
    common = draft.http.common_http_protocol_options
    idle = http.idle_timeout if http.idle_timeout is not None else tcp.idle_timeout
    if idle is not None:
        common.idle_timeout.FromTimedelta(idle)
    if tcp.max_connection_duration is not None:
        common.max_connection_duration.FromTimedelta(tcp.max_connection_duration)
    if http.max_requests_per_connection > 0:
        common.max_requests_per_connection.value = http.max_requests_per_connection
    if not draft.http.explicit_http_config.HasField("http2_protocol_options"):
        return
    http2 = draft.http.explicit_http_config.http2_protocol_options
    if http.max_concurrent_streams > 0:
        http2.max_concurrent_streams.value = http.max_concurrent_streams
    if http.http2_keep_alive is not None:
        if http.http2_keep_alive.interval is not None:
            http2.connection_keepalive.interval.FromTimedelta(http.http2_keep_alive.interval)
        if http.http2_keep_alive.timeout is not None:
            http2.connection_keepalive.timeout.FromTimedelta(http.http2_keep_alive.timeout)
