"""Leaving failing endpoints out: ``outlierDetection`` to Envoy's, and how many must be left before all are used again.

Source: Istio's ``destination_rule.proto``, message OutlierDetection; Envoy's ``outlier_detection.proto``.
"""

from __future__ import annotations

from google.protobuf.wrappers_pb2 import UInt32Value

from pilotpy.compile.draft import Draft
from pilotpy.model.destination_rule import OutlierDetection
from pilotpy_protos.envoy.config.cluster.v3 import outlier_detection_pb2
from pilotpy_protos.envoy.config.common.matcher.v3.matcher_pb2 import MatchPredicate

_ALWAYS = 100  # percent of the endpoints found failing that are left out


def outlier_detection(draft: Draft) -> None:
    """Write outlier detection, the panic threshold and which HTTP statuses count as failures."""
    written = draft.policy.outlier_detection
    threshold = draft.cluster.common_lb_config.healthy_panic_threshold
    # Endpoints that are not ready are sent too, as unhealthy: panic would send requests to them.
    threshold.value = 0.0
    if written is None:
        return
    _detection(draft.cluster.outlier_detection, written)
    if written.min_health_percent > 0 and not draft.shape.traffic_distribution:
        threshold.value = written.min_health_percent
    if written.outlier_detection_http_error_codes:
        _errors(draft.http.outlier_detection.error_matcher, written.outlier_detection_http_error_codes)


def _detection(out: outlier_detection_pb2.OutlierDetection, written: OutlierDetection) -> None:
    out.enforcing_success_rate.value = 0
    if written.consecutive_5xx_errors is not None:
        _enforced(out.consecutive_5xx, out.enforcing_consecutive_5xx, written.consecutive_5xx_errors)
    if written.consecutive_gateway_errors is not None:
        failures = out.consecutive_gateway_failure
        _enforced(failures, out.enforcing_consecutive_gateway_failure, written.consecutive_gateway_errors)
    if written.interval is not None:
        out.interval.FromTimedelta(written.interval)
    if written.base_ejection_time is not None:
        out.base_ejection_time.FromTimedelta(written.base_ejection_time)
    if written.max_ejection_percent > 0:
        out.max_ejection_percent.value = written.max_ejection_percent
    if written.split_external_local_origin_errors:
        out.split_external_local_origin_errors = True
        out.enforcing_local_origin_success_rate.value = 0
        if written.consecutive_local_origin_failures:
            failures = out.consecutive_local_origin_failure
            _enforced(
                failures,
                out.enforcing_consecutive_local_origin_failure,
                written.consecutive_local_origin_failures,
            )


def _enforced(count: UInt32Value, enforcing: UInt32Value, written: int) -> None:
    count.value = written
    enforcing.value = _ALWAYS if written else 0


def _errors(matcher: MatchPredicate, codes: tuple[int, ...]) -> None:
    for code in codes:
        rule = matcher if len(codes) == 1 else matcher.or_match.rules.add()
        header = rule.http_response_headers_match.headers.add(name=":status")
        header.string_match.exact = str(code)
