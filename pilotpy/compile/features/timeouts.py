"""Timeouts: ``HTTPRoute.timeout`` to ``RouteAction.timeout``; none unless asked for.

Envoy's own default is 15 s. Source: Envoy ``config/route/v3/route_components.proto``; Istio ``HTTPRoute.timeout``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pilotpy.compile.route_site import PASSED_OVER, Site
from pilotpy.model.virtual_service import HTTPRoute
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import Route, RouteAction

NONE: Final = timedelta()


def write(route: Route, rule: HTTPRoute, site: Site) -> None:
    """Bound the time that a forwarded request may take."""
    if not route.HasField("route"):
        return
    timeout = rule.timeout or NONE
    if timeout < NONE:
        site.report("timeout", "A negative timeout counts as none", "use 0s for none", code=PASSED_OVER)
        timeout = NONE
    bound(route.route, timeout)


def bound(action: RouteAction, timeout: timedelta) -> None:
    """Set the timeout of a forwarding route; 0: it may take as long as it likes."""
    action.timeout.FromTimedelta(timeout)
    # Deprecated in favour of max_stream_duration, which counts otherwise; istiod keeps to this one as well.
    action.max_grpc_timeout.FromTimedelta(timeout)
