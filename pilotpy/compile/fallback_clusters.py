"""Clusters that are there for every proxy: where traffic goes that no service takes.

Source: istiod's ``pilot/pkg/networking/core/cluster_builder.go``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pilotpy.compile.draft import ORIGINAL_DST, Dialect, Draft, Shape, defaults
from pilotpy.compile.encoded import Encoded, Tree
from pilotpy.compile.features.connection_pool import connection_pool
from pilotpy.compile.naming import BLACK_HOLE, INBOUND_PASSTHROUGH, PASSTHROUGH, STAT_END
from pilotpy.compile.settings import finished
from pilotpy.compile.wire import serialised
from pilotpy.engine import Asking, query
from pilotpy.mesh.service import Protocol, Resolution
from pilotpy.mesh.traffic_policy import NO_POLICY, with_baseline
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster
from pilotpy_protos.envoy.config.core.v3.address_pb2 import BindConfig, ExtraSourceAddress, SocketAddress

# Connections of ours to the workload come from here: captured like all others, they would come back to us.
LOOPBACK: Final = "127.0.0.6"
LOOPBACK6: Final = "::6"

_IDLE: Final = timedelta(minutes=5)


@query
def outbound_fallbacks(q: Asking, spoken: Dialect) -> Tree:
    """Where routes without a destination end, and what passes through to where the client meant it to go."""
    hole = Cluster(name=BLACK_HOLE, alt_stat_name=BLACK_HOLE + STAT_END)
    hole.type = Cluster.DiscoveryType.STATIC
    hole.lb_policy = Cluster.LbPolicy.ROUND_ROBIN
    hole.connect_timeout.FromTimedelta(q(defaults).connect_timeout)
    draft = _passthrough(q, spoken, inbound=False)
    return Tree((Encoded(BLACK_HOLE, serialised(hole)), Encoded(PASSTHROUGH, finished(draft))))


@query
def inbound_passthrough(q: Asking, spoken: Dialect) -> Tree:
    """Where traffic goes to ports of the workload that no service names."""
    draft = _passthrough(q, spoken, inbound=True)
    draft.cluster.name = INBOUND_PASSTHROUGH
    draft.cluster.upstream_bind_config.CopyFrom(bound_to_loopback(spoken))
    return Tree((Encoded(INBOUND_PASSTHROUGH, finished(draft)),))


def bound_to_loopback(spoken: Dialect) -> BindConfig:
    """The source address of connections to the workload itself, in each family that the proxy has."""
    sources = [
        SocketAddress(address=address, port_value=0)
        for address, spoken_here in ((LOOPBACK, spoken.ipv4), (LOOPBACK6, spoken.ipv6))
        if spoken_here
    ]
    first, *others = sources or [SocketAddress(address=LOOPBACK, port_value=0)]
    return BindConfig(
        source_address=first,
        extra_source_addresses=[ExtraSourceAddress(address=other) for other in others],
    )


def _passthrough(q: Asking, spoken: Dialect, *, inbound: bool) -> Draft:
    shared = q(defaults)
    policy = with_baseline(NO_POLICY, shared.traffic_policy)
    draft = Draft(Shape(Protocol.AUTO, Resolution.PASSTHROUGH, inbound=inbound), policy, shared, spoken)
    # Statistics do not tell the two directions apart; Istio's dashboards count on it.
    draft.cluster.name, draft.cluster.alt_stat_name = PASSTHROUGH, PASSTHROUGH + STAT_END
    draft.cluster.type = ORIGINAL_DST
    draft.cluster.lb_policy = Cluster.LbPolicy.CLUSTER_PROVIDED
    draft.http.common_http_protocol_options.idle_timeout.FromTimedelta(_IDLE)
    as_client = draft.http.use_downstream_protocol_config
    as_client.http_protocol_options.SetInParent()
    as_client.http2_protocol_options.SetInParent()
    connection_pool(draft)
    return draft
