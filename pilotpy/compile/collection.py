"""A collection: all resources of one type that a proxy is given, as a query and what of a view it takes.

Edges know the compiler by these and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, NamedTuple

from pilotpy.engine import Query
from pilotpy.mesh.view import View

GOOGLE: Final = "type.googleapis.com/"
CLUSTERS: Final = GOOGLE + "envoy.config.cluster.v3.Cluster"
ENDPOINTS: Final = GOOGLE + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENERS: Final = GOOGLE + "envoy.config.listener.v3.Listener"
ROUTES: Final = GOOGLE + "envoy.config.route.v3.RouteConfiguration"
NAMES: Final = GOOGLE + "istio.networking.nds.v1.NameTable"
SECRETS: Final = GOOGLE + "envoy.extensions.transport_sockets.tls.v3.Secret"
PROXY_CONFIGS: Final = GOOGLE + "istio.mesh.v1alpha1.ProxyConfig"


class Collection(NamedTuple):
    """A query that returns a `Tree`, and its arguments for a view: no more of it than the query reads."""

    query: Query[..., Any]
    facets: Callable[[View], tuple[Hashable, ...]]
