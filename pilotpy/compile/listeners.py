"""From the facets of a proxy to all of its listeners, in the order in which istiod lists them.

Source: istiod's core/listener.go (BuildListeners).
"""

from __future__ import annotations

from pilotpy.compile.access_log import listener_logs
from pilotpy.compile.encoded import Encoded, Tree
from pilotpy.compile.inbound import inbound_listeners
from pilotpy.compile.listener_settings import Terms, terms
from pilotpy.compile.naming import BLACK_HOLE
from pilotpy.compile.network_filters import TcpRoute, tcp_filters, to_cluster
from pilotpy.compile.outbound import UNCAPTURED
from pilotpy.compile.outbound_listeners import fallback_cluster, outbound_listeners
from pilotpy.compile.pieces import address, flag, number
from pilotpy.compile.wire import serialised
from pilotpy.engine import Asking, query
from pilotpy.mesh.view import Features, Inbound, Listening, Scope
from pilotpy_protos.envoy.config.core.v3.base_pb2 import TrafficDirection
from pilotpy_protos.envoy.config.listener.v3.listener_components_pb2 import FilterChain, FilterChainMatch
from pilotpy_protos.envoy.config.listener.v3.listener_pb2 import Listener


@query
def listeners(q: Asking, scope: Scope, inbound: Inbound, features: Features, listening: Listening) -> Tree:
    """Everything that a proxy listens on: outbound, the two that capture, inbound; names are unique."""
    outbound = q(outbound_listeners, scope, features, listening)
    inward = q(inbound_listeners, inbound, features, listening)
    if inbound.sidecar is not None:
        # Its ports may be bound where its exits are.
        taken = {one.name for one in outbound}
        inward = Tree(one for one in inward if one.name not in taken)
    if listening.mode == UNCAPTURED:
        return Tree([outbound, inward])
    return Tree([outbound, q(virtual_outbound, fallback_cluster(scope.fallback), features, listening), inward])


@query
def virtual_outbound(q: Asking, fallback: str, features: Features, listening: Listening) -> Encoded:
    """The listener that all outbound connections are redirected to; it hands each to the one that it was for."""
    common = terms(q, features, listening)
    port = common.settings.outbound_port
    listener = Listener(
        name="virtualOutbound",
        address=address(common.wildcard, port),
        traffic_direction=TrafficDirection.OUTBOUND,
        use_original_dst=flag(True),
        transparent=flag(True) if listening.mode == "TPROXY" else None,
        max_connections_to_accept_per_socket_event=number(1),
        access_log=listener_logs(common.settings.logging, istio=common.istio),
        filter_chains=[
            # Connections to the port itself would be redirected to it again for ever.
            _chain("virtualOutbound-blackhole", to_cluster(BLACK_HOLE, listening.idle_timeout), common, port=port),
            _chain("virtualOutbound-catchall-tcp", to_cluster(fallback, listening.idle_timeout), common),
        ],
    )
    if listening.exact_balance[1]:
        listener.connection_balance_config.exact_balance.SetInParent()
    return Encoded(listener.name, serialised(listener))


def _chain(name: str, route: TcpRoute, common: Terms, port: int = 0) -> FilterChain:
    match = FilterChainMatch(destination_port=number(port)) if port else None
    return FilterChain(name=name, filter_chain_match=match, filters=tcp_filters(route, common))
