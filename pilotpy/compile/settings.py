"""The settings that a cluster shares with all clusters of its shape and policy: everything but names and endpoints.

One set of bytes for every plain HTTP port in the mesh: a cluster is these bytes and its own. Source: istiod's
``pilot/pkg/networking/core/cluster_builder.go`` and ``cluster_traffic_policy.go``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, NamedTuple

from pilotpy.compile.draft import LOGICAL_DNS, STRICT_DNS, Dialect, Draft, Outlet, Shape, defaults, discovery
from pilotpy.compile.encoded import Rope
from pilotpy.compile.features.connection_pool import connection_pool, without_http2
from pilotpy.compile.features.load_balancing import load_balancing
from pilotpy.compile.features.locality import locality
from pilotpy.compile.features.outlier_detection import outlier_detection
from pilotpy.compile.features.tls import automatic_names
from pilotpy.compile.features.upstream_protocol import upstream_protocol
from pilotpy.compile.pieces import packed_struct
from pilotpy.compile.wire import packed, serialised
from pilotpy.engine import Asking, query
from pilotpy.mesh.policy_findings import IDLE
from pilotpy.mesh.service import Protocol
from pilotpy.mesh.traffic_policy import traffic_rule, with_baseline
from pilotpy.model.destination_rule import TrafficPolicy
from pilotpy.model.resource import Finding, Severity
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster
from pilotpy_protos.envoy.config.core.v3.health_check_pb2 import HealthStatus
from pilotpy_protos.envoy.extensions.network.dns_resolver.cares.v3.cares_dns_resolver_pb2 import CaresDnsResolverConfig

# Order matters: the pool's limits on streams go to the protocol that was chosen before.
OUTBOUND: Final = (
    upstream_protocol,
    connection_pool,
    outlier_detection,
    locality,
    load_balancing,
    automatic_names,
)
INBOUND: Final = (upstream_protocol, connection_pool)

HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

_DNS_JITTER: Final = timedelta(milliseconds=100)
_DNS_QUERIES_PER_SOCKET: Final = 100


class Settings(NamedTuple):
    """Settings in wire format, and what else of a cluster depends on them."""

    body: Rope
    discovery: Cluster.DiscoveryType  # how clusters find their endpoints
    http: bool = False  # they speak HTTP, of the first version and no other
    http2: bool = False  # they speak HTTP/2 and nothing else


@query
def outbound_settings(q: Asking, shape: Shape, outlet: Outlet, dialect: Dialect) -> Settings:
    """The settings of an outlet's cluster. Without rules all outlets are alike: ask for ``Outlet()``."""
    shared = q(defaults)
    policy = q(traffic_rule, outlet.rules).policy(outlet.port, outlet.subset) if outlet.rules else TrafficPolicy()
    draft = Draft(shape, with_baseline(policy, shared.traffic_policy), shared, dialect)
    cluster = draft.cluster
    cluster.type = discovery(shape.resolution, draft.policy)
    if cluster.type in {STRICT_DNS, LOGICAL_DNS}:
        _dns(draft)
    for feature in OUTBOUND:
        feature(draft)
    for name in without_http2(draft) if outlet.rules else ():  # what the mesh says for all need not suit each
        q.note(_only_http2(name, shape.protocol, outlet))
    if shape.persistent_sessions:
        kept = (HealthStatus.HEALTHY, HealthStatus.DRAINING, HealthStatus.UNKNOWN, HealthStatus.DEGRADED)
        cluster.common_lb_config.override_host_status.statuses.extend(kept)
    http2 = draft.http.explicit_http_config.HasField("http2_protocol_options")
    as_client = draft.http.HasField("use_downstream_protocol_config")
    http = shape.protocol.is_http and not (http2 or as_client)
    return Settings(Rope((finished(draft),)), cluster.type, http=http, http2=http2)


def finished(draft: Draft) -> bytes:
    """The cluster of a draft with its HTTP options in place, and Istio's own filter where the proxy has it."""
    cluster, http = draft.cluster, draft.http
    if http.ByteSize():
        if not http.WhichOneof("upstream_protocol_options"):
            http.explicit_http_config.http_protocol_options.SetInParent()
        cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(http))
    if draft.dialect.istio and not draft.shape.inbound:
        # Tells TCP servers who we are, and us who they are.
        cluster.filters.add(name="istio.metadata_exchange", typed_config=_METADATA_EXCHANGE)
    return serialised(cluster)


_METADATA_EXCHANGE: Final = packed_struct(
    "envoy.tcp.metadataexchange.config.MetadataExchange",
    {"protocol": "istio-peer-exchange", "enable_discovery": True},
)


def _only_http2(name: str, protocol: Protocol, outlet: Outlet) -> Finding:
    where = f"port {outlet.port}" + (f" of subset {outlet.subset}" if outlet.subset else "")
    return Finding(
        code=IDLE,
        severity=Severity.WARNING,
        message=f"{name} has no effect on {where}, which is {protocol.value}: only HTTP/2 has it",
        ref=outlet.rules[0],
        hint="Write h2UpgradePolicy: UPGRADE beside it, or name the port's protocol http2 or grpc",
    )


def _dns(draft: Draft) -> None:
    cluster = draft.cluster
    cluster.dns_lookup_family = (
        Cluster.DnsLookupFamily.V4_ONLY if draft.dialect.ipv4 else Cluster.DnsLookupFamily.V6_ONLY
    )
    cluster.dns_refresh_rate.FromTimedelta(draft.defaults.dns_refresh_rate)
    cluster.dns_jitter.FromTimedelta(_DNS_JITTER)
    cluster.respect_dns_ttl = True
    resolver = CaresDnsResolverConfig()
    resolver.udp_max_queries.value = _DNS_QUERIES_PER_SOCKET
    cluster.typed_dns_resolver_config.name = "envoy.network.dns_resolver.cares"
    cluster.typed_dns_resolver_config.typed_config.CopyFrom(packed(resolver))
