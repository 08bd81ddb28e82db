"""Faults that a rule injects.

Source: istio/istio pkg/config/validation/validation.go; gRPC's statuses from doc/statuscodes.md.
"""

from __future__ import annotations

from typing import Final

from pilotpy.model.virtual_service import Abort, Delay, HTTPFaultInjection, Percent
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import values

# By their numbers, from 0 up.
GRPC_STATUSES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


def faults(given: HTTPFaultInjection | None, at: str) -> Problems:
    """A delay, an error, or both."""
    if given is None:
        return
    if given.abort is None and given.delay is None:
        yield Problem(at, "An abort or a delay is needed")
    if given.abort:
        yield from _abort(given.abort, f"{at}.abort")
    if given.delay:
        yield from _delay(given.delay, f"{at}.delay")


def _abort(abort: Abort, at: str) -> Problems:
    yield from _share(abort.percentage, f"{at}.percentage.value")
    if abort.grpc_status is not None:
        if abort.grpc_status not in GRPC_STATUSES:
            yield Problem(f"{at}.grpcStatus", f"{abort.grpc_status!r} is not a status of gRPC such as NOT_FOUND")
    elif abort.http2_error is not None:
        yield Problem(f"{at}.http2Error", "Envoy cannot abort with an error of HTTP/2")
    elif abort.http_status is not None:
        yield from values.http_status(abort.http_status, f"{at}.httpStatus")
    else:
        yield warning(at, "The abort has no effect: it names no status")


def _delay(delay: Delay, at: str) -> Problems:
    yield from _share(delay.percentage, f"{at}.percentage.value")
    yield from values.duration(delay.fixed_delay, f"{at}.fixedDelay")
    if delay.exponential_delay is not None:
        yield from values.duration(delay.exponential_delay, f"{at}.exponentialDelay")
        yield Problem(f"{at}.exponentialDelay", "Envoy has no exponential delays")


def _share(share: Percent | None, at: str) -> Problems:
    if share is not None and share.value != 0 and not 0.0001 <= share.value <= 100:
        yield Problem(at, f"{share.value} is neither 0 nor from 0.0001 to 100")
