"""Retries: ``HTTPRetry`` to Envoy's ``RetryPolicy``.

Source: Envoy ``config/route/v3/route_components.proto``; istiod's ``core/route/retry``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from pilotpy.compile.route_site import PASSED_OVER, Site
from pilotpy.compile.wire import packed
from pilotpy.model.virtual_service import HTTPRetry, HTTPRoute
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import RetryPolicy, Route
from pilotpy_protos.envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from pilotpy_protos.envoy.extensions.retry.priority.previous_priorities.v3.previous_priorities_config_pb2 import (
    PreviousPrioritiesConfig,
)

DEFAULT_ON: Final = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
_CODES: Final = frozenset(int(status) for status in HTTPStatus)
_PREVIOUS_HOSTS: Final = RetryPolicy.RetryHostPredicate(
    name="envoy.retry_host_predicates.previous_hosts", typed_config=packed(PreviousHostsPredicate())
)
_OTHER_LOCALITIES: Final = RetryPolicy.RetryPriority(
    name="envoy.retry_priorities.previous_priorities", typed_config=packed(PreviousPrioritiesConfig(update_frequency=2))
)


def write(route: Route, rule: HTTPRoute, site: Site) -> None:
    """Retry forwarded requests as the rule says, else as the mesh does."""
    if not route.HasField("route"):
        return
    wanted = site.settings.retries if rule.retries is None else rule.retries
    only = rule.route[0].destination if len(rule.route) == 1 else None
    hashed = only is not None and site.target(only).consistent_hash is not None

    def report(field: str, message: str, hint: str) -> None:
        if rule.retries is not None:
            site.report(f"retries.{field}", message, hint, code=PASSED_OVER)

    policy = retry_policy(wanted, hashed=hashed, report=report)
    if policy is not None:
        route.route.retry_policy.CopyFrom(policy)


def retry_policy(
    wanted: HTTPRetry | None, *, hashed: bool = False, report: Callable[[str, str, str], None] = lambda *_: None
) -> RetryPolicy | None:
    """The policy asked for; the default one if none is; None if retries are turned off.

    ``hashed``: a hash chooses the endpoint, so that a retry may well go to the same one again.
    """
    if wanted is None:
        return _policy(2, hashed=hashed)
    if wanted.attempts <= 0:
        return None
    policy = _policy(wanted.attempts, hashed=hashed)
    if wanted.retry_on:
        policy.retry_on, codes = _conditions(wanted.retry_on)
        policy.retriable_status_codes.extend(codes)
    _write_times(policy, wanted, report)
    if wanted.retry_ignore_previous_hosts is not None:
        del policy.retry_host_predicate[:]
        if wanted.retry_ignore_previous_hosts:
            policy.retry_host_predicate.append(_PREVIOUS_HOSTS)
    if wanted.retry_remote_localities:
        policy.retry_priority.CopyFrom(_OTHER_LOCALITIES)
    return policy


def _policy(attempts: int, *, hashed: bool) -> RetryPolicy:
    policy = RetryPolicy(retry_on=DEFAULT_ON, host_selection_retry_max_attempts=5)
    policy.num_retries.value = attempts
    if not hashed:
        policy.retry_host_predicate.append(_PREVIOUS_HOSTS)
    return policy


def _write_times(policy: RetryPolicy, wanted: HTTPRetry, report: Callable[[str, str, str], None]) -> None:
    if wanted.per_try_timeout is not None:
        if wanted.per_try_timeout < timedelta():
            report("perTryTimeout", "A negative timeout counts as none", "leave it out for none")
        else:
            policy.per_try_timeout.FromTimedelta(wanted.per_try_timeout)
    if wanted.backoff is not None:
        if wanted.backoff < timedelta(milliseconds=1):
            report("backoff", "Envoy waits 1 ms at least between retries; its default holds", "use 1ms or more")
        else:
            policy.retry_back_off.base_interval.FromTimedelta(wanted.backoff)


def _conditions(written: str) -> tuple[str, list[int]]:
    """Split a list like "503,reset" into Envoy's conditions and the status codes, which Envoy keeps apart."""
    words: list[str] = []
    codes: list[int] = []
    for word in filter(None, map(str.strip, written.split(","))):
        if word.isascii() and word.isdigit() and int(word) in _CODES:
            codes.append(int(word))
        else:
            words.append(word)
    if codes and "retriable-status-codes" not in words:
        words.append("retriable-status-codes")
    return ",".join(words), codes
