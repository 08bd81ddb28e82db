"""Faults: ``HTTPFaultInjection`` to the per-route settings of Envoy's fault filter.

Reads   ``HTTPRoute.fault``.
Writes  ``Route.typed_per_filter_config[FILTER]``; the listener has the filter itself.
Source  Envoy ``extensions/filters/http/fault/v3/fault.proto``; Istio ``HTTPFaultInjection``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pilotpy.compile.features.shares import per_hundred, per_million
from pilotpy.compile.route_site import Site
from pilotpy.compile.wire import packed
from pilotpy.model.resource import Severity
from pilotpy.model.virtual_service import Abort, Delay, HTTPRoute
from pilotpy.schema.validation.faults import GRPC_STATUSES
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import Route
from pilotpy_protos.envoy.extensions.filters.common.fault.v3.fault_pb2 import FaultDelay
from pilotpy_protos.envoy.extensions.filters.http.fault.v3.fault_pb2 import FaultAbort, HTTPFault

FILTER: Final = "envoy.filters.http.fault"


def write(route: Route, rule: HTTPRoute, site: Site) -> None:
    """Delay and abort shares of the requests."""
    if rule.fault is None:
        return
    delay = _delay(rule.fault.delay, site) if rule.fault.delay else None
    abort = _abort(rule.fault.abort, site) if rule.fault.abort else None
    if delay is not None or abort is not None:
        route.typed_per_filter_config[FILTER].CopyFrom(packed(HTTPFault(delay=delay, abort=abort)))


def _delay(wanted: Delay, site: Site) -> FaultDelay | None:
    if wanted.fixed_delay is None or wanted.fixed_delay <= timedelta():
        site.report("fault.delay.fixedDelay", "A delay needs a fixed time above 0; left out", "set it", code="PP0426")
        return None
    if wanted.percentage is None and not wanted.percent:
        site.report("fault.delay", _NO_SHARE, _SHARE, code="PP0426", severity=Severity.WARNING)
    delay = FaultDelay(
        percentage=per_hundred(wanted.percent) if wanted.percentage is None else per_million(wanted.percentage.value)
    )
    delay.fixed_delay.FromTimedelta(wanted.fixed_delay)
    return delay


def _abort(wanted: Abort, site: Site) -> FaultAbort | None:
    if wanted.percentage is None:
        site.report("fault.abort", _NO_SHARE, _SHARE, code="PP0426", severity=Severity.WARNING)
    abort = FaultAbort(percentage=per_million(wanted.percentage.value) if wanted.percentage else None)
    if wanted.http_status is not None:
        if not 200 <= wanted.http_status < 600:
            message = f"{wanted.http_status} is no status of an HTTP response; left out"
            site.report("fault.abort.httpStatus", message, "use 200 to 599", code="PP0426")
            return None
        abort.http_status = wanted.http_status
    elif wanted.grpc_status is not None and wanted.grpc_status in GRPC_STATUSES:
        abort.grpc_status = GRPC_STATUSES.index(wanted.grpc_status)
    else:
        message = "An abort needs an HTTP status or a gRPC status by name; left out"
        site.report("fault.abort.grpcStatus", message, "set httpStatus or grpcStatus (UNAVAILABLE)", code="PP0426")
        return None
    return abort


_SHARE: Final = "set percentage.value"
_NO_SHARE: Final = "A fault without a percentage happens to no request"
