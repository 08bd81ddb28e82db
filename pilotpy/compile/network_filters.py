"""From where a TCP connection goes to the network filters that take it there.

Filters that only Istio's Envoy has are left out for others. Source: istiod's core/networkfilter.go.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from google.protobuf.message import Message

from pilotpy.compile.access_log import access_logs
from pilotpy.compile.guard import Stages
from pilotpy.compile.listener_settings import Terms
from pilotpy.compile.pieces import packed_struct
from pilotpy.compile.wire import packed
from pilotpy_protos.envoy.config.listener.v3.listener_components_pb2 import Filter
from pilotpy_protos.envoy.extensions.filters.network.mongo_proxy.v3.mongo_proxy_pb2 import MongoProxy
from pilotpy_protos.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from pilotpy_protos.envoy.type.v3.hash_policy_pb2 import HashPolicy
from pilotpy_protos.istio.filters.stats_pb2 import PluginConfig


class Tunnel(NamedTuple):
    """TCP is carried by CONNECT (or POST) requests to a proxy."""

    target: str  # "host:port"
    post: bool = False


class TcpRoute(NamedTuple):
    """Where a connection goes, and for how long."""

    stat_prefix: str
    clusters: tuple[tuple[str, int], ...]  # (cluster, weight); the weight of one alone does not count
    idle_timeout: timedelta | None = None  # None: Envoy's own, 1 h
    max_duration: timedelta | None = None
    by_source: bool = False  # the same client address goes to the same endpoint
    tunnel: Tunnel | None = None


def to_cluster(cluster: str, idle_timeout: timedelta | None = None) -> TcpRoute:
    """Everything goes to one cluster."""
    return TcpRoute(cluster, ((cluster, 1),), idle_timeout)


def tcp_filters(route: TcpRoute, terms: Terms) -> list[Filter]:
    """The filters of an opaque outbound connection."""
    return [*metrics_filters(terms), tcp_proxy(route, terms)]


def guard_filters(stages: Stages) -> list[Filter]:
    """What authorizes connections."""
    return [Filter.FromString(made) for made in (*stages.custom, *stages.rules)]


def metrics_filters(terms: Terms) -> list[Filter]:
    """Istio's standard metrics of connections, if they are wanted and this Envoy can make them."""
    return [network_filter("istio.stats", PluginConfig())] if terms.istio and terms.settings.metrics else []


def peer_filters(terms: Terms) -> list[Filter]:
    """Learns who the client of a connection is, if this Envoy can."""
    if not terms.istio:
        return []
    config = {"enable_discovery": True, "protocol": "istio-peer-exchange"}
    typed = packed_struct("envoy.tcp.metadataexchange.config.MetadataExchange", config)
    return [Filter(name="istio.metadata_exchange", typed_config=typed)]


def tcp_proxy(route: TcpRoute, terms: Terms) -> Filter:
    """Sends the connection on."""
    config = TcpProxy(
        stat_prefix=route.stat_prefix,
        idle_timeout=route.idle_timeout,
        max_downstream_connection_duration=route.max_duration,
        access_log=access_logs(terms.settings.logging, istio=terms.istio),
    )
    if len(route.clusters) == 1:
        config.cluster = route.clusters[0][0]
    else:
        weighted = TcpProxy.WeightedCluster
        config.weighted_clusters.CopyFrom(
            weighted(clusters=[weighted.ClusterWeight(name=name, weight=weight) for name, weight in route.clusters])
        )
    if route.by_source:
        config.hash_policy.add(source_ip=HashPolicy.SourceIp())
    if route.tunnel is not None:
        config.tunneling_config.hostname = route.tunnel.target
        config.tunneling_config.use_post = route.tunnel.post
    return network_filter("envoy.filters.network.tcp_proxy", config)


def mongo_proxy(stat_prefix: str) -> Filter:
    """Counts what is said in MongoDB's protocol."""
    return network_filter("envoy.filters.network.mongo_proxy", MongoProxy(stat_prefix=stat_prefix))


def network_filter(name: str, config: Message) -> Filter:
    """A filter and its configuration."""
    return Filter(name=name, typed_config=packed(config))
