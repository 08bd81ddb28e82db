"""What in a DestinationRule does nothing, as written: settings that need another beside them, or that nobody reads.

From one rule to findings, each at the path of what is idle. What Istio accepts and ignores in silence is said here.
"""

from __future__ import annotations

from collections.abc import Iterator

from pilotpy.model.destination_rule import (
    ClientTLSSettings,
    DestinationRule,
    LoadBalancerSettings,
    OutlierDetection,
    PortTrafficPolicy,
    TrafficPolicy,
)
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.schema.codes import NOT_COMPILED

IDLE = "PP0303"


def policy_findings(rule: Resource[DestinationRule]) -> Iterator[Finding]:
    """Yield what is idle in a rule's policies, in the order in which they are written."""
    for path, policy in _policies(rule.spec):
        if policy.load_balancer is not None:
            yield from _of_balancer(rule.ref, f"{path}.loadBalancer", policy.load_balancer)
        if policy.outlier_detection is not None:
            yield from _of_detection(rule.ref, f"{path}.outlierDetection", policy.outlier_detection)
        if policy.tls is not None:
            yield from _of_tls(rule, f"{path}.tls", policy.tls)
        budget = policy.retry_budget if isinstance(policy, TrafficPolicy) else None
        if budget is not None and budget.budget_interval is not None:
            yield Finding(
                code=NOT_COMPILED,
                severity=Severity.WARNING,
                message="budgetInterval has no effect yet: retries are counted against the requests of the moment",
                ref=rule.ref,
                field=f"{path}.retryBudget.budgetInterval",
                hint="Leave it out, and let percent and minRetryConcurrency set the budget",
            )


def _policies(spec: DestinationRule) -> Iterator[tuple[str, TrafficPolicy | PortTrafficPolicy]]:
    """Yield (path, policy)."""
    written = [
        ("spec.trafficPolicy", spec.traffic_policy),
        *((f"spec.subsets[{i}].trafficPolicy", subset.traffic_policy) for i, subset in enumerate(spec.subsets)),
    ]
    for path, policy in written:
        if policy is None:
            continue
        yield path, policy
        for index, port in enumerate(policy.port_level_settings):
            yield f"{path}.portLevelSettings[{index}]", port


def _of_balancer(ref: Ref, path: str, balancer: LoadBalancerSettings) -> Iterator[Finding]:
    if balancer.locality_lb_setting is not None and balancer.zone_aware_lb_setting is not None:
        message = "localityLbSetting has no effect beside zoneAwareLbSetting"
        yield _idle(ref, f"{path}.localityLbSetting", message, "keep one of the two")
    name = "warmup" if balancer.warmup is not None else "warmupDurationSecs"
    warms_up = balancer.warmup is not None or balancer.warmup_duration_secs is not None
    if warms_up and (balancer.consistent_hash is not None or balancer.simple in {"RANDOM", "PASSTHROUGH"}):
        message = f"{name} has no effect: only LEAST_REQUEST and ROUND_ROBIN warm endpoints up"
        yield _idle(ref, f"{path}.{name}", message, "choose one of them, or take the warm-up out")


def _of_detection(ref: Ref, path: str, detection: OutlierDetection) -> Iterator[Finding]:
    if detection.consecutive_errors:
        message = "consecutiveErrors has no effect any more"
        hint = "write consecutiveGatewayErrors or consecutive5xxErrors"
        yield _idle(ref, f"{path}.consecutiveErrors", message, hint)
    if detection.consecutive_local_origin_failures and not detection.split_external_local_origin_errors:
        message = "consecutiveLocalOriginFailures has no effect without splitExternalLocalOriginErrors"
        hint = "set splitExternalLocalOriginErrors to true"
        yield _idle(ref, f"{path}.consecutiveLocalOriginFailures", message, hint)


def _of_tls(rule: Resource[DestinationRule], path: str, tls: ClientTLSSettings) -> Iterator[Finding]:
    if tls.mode in {"SIMPLE", "MUTUAL"} and tls.credential_name and rule.spec.workload_selector is None:
        yield _idle(
            rule.ref,
            f"{path}.credentialName",
            "Sidecars speak plaintext instead: they are given a credential only by a rule that selects them",
            "add a workloadSelector that picks the clients, or name files with caCertificates",
        )


def _idle(ref: Ref, field: str, message: str, hint: str) -> Finding:
    return Finding(code=IDLE, severity=Severity.WARNING, message=message, ref=ref, field=field, hint=hint)
