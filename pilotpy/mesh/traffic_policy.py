"""From the DestinationRules in force for a service to the policy of each of its ports and subsets.

Source: Istio's ``networking/v1/destination_rule.proto``; istiod's ``pilot/pkg/model/destination_rule.go`` (merging) and
``MergeSubsetTrafficPolicy`` in ``pilot/pkg/networking/util`` (ports and subsets).
"""

from __future__ import annotations

from typing import Final

import msgspec

from pilotpy.engine import Asking, query
from pilotpy.mesh.kinds import DESTINATION_RULES
from pilotpy.mesh.policy_findings import policy_findings
from pilotpy.model.destination_rule import PortTrafficPolicy, Subset, TrafficPolicy
from pilotpy.model.mesh_config import DefaultTrafficPolicy
from pilotpy.model.resource import Finding, Ref, Severity

NO_POLICY: Final = TrafficPolicy()


class TrafficRule(msgspec.Struct, frozen=True):
    """DestinationRules for one host, merged into one."""

    ref: Ref | None = None  # the rule that the others were merged into; None: there is no rule
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()  # names unique
    of_workloads: bool = False  # it is for the workloads that it selects

    def policy(self, port: int, subset: str = "") -> TrafficPolicy:
        """The policy of a service's port, or of a subset on it; a subset that is not there has the port's.

        What comes back has no port-level settings any more.
        """
        of_port = _on_port(self.traffic_policy or NO_POLICY, port)
        chosen = self.subset(subset)
        if chosen is None or chosen.traffic_policy is None:
            return of_port
        return _overlaid(of_port, chosen.traffic_policy, port)

    def subset(self, name: str) -> Subset | None:
        """The subset of that name."""
        return next((subset for subset in self.subsets if subset.name == name), None)


NO_RULE: Final = TrafficRule()


@query
def traffic_rule(q: Asking, rules: tuple[Ref, ...]) -> TrafficRule:
    """Merge DestinationRules in order of precedence; ``NO_RULE`` if there are none, or they are gone.

    The first top-level policy holds, whole; so does the first subset of each name.
    """
    merged = NO_RULE
    for ref in rules:
        rule = q.get(DESTINATION_RULES, ref.namespace, ref.name)
        if rule is None:
            continue
        for finding in policy_findings(rule):
            q.note(finding)
        subsets = {subset.name: subset for subset in merged.subsets}
        for index, subset in enumerate(rule.spec.subsets):
            if subsets.setdefault(subset.name, subset) is not subset:
                q.note(_repeated(ref, index, subset.name, merged.ref or ref))
        if merged.ref and merged.traffic_policy and rule.spec.traffic_policy:
            q.note(_overruled(ref, merged.ref))
        policy = merged.traffic_policy or rule.spec.traffic_policy
        selects = merged.of_workloads if merged.ref else rule.spec.workload_selector is not None
        merged = TrafficRule(merged.ref or ref, policy, tuple(subsets.values()), selects)
    return merged


def with_baseline(policy: TrafficPolicy, baseline: DefaultTrafficPolicy | None) -> TrafficPolicy:
    """Fill the blocks that a policy leaves out from the mesh's ``defaultTrafficPolicy``."""
    if baseline is None:
        return policy
    return msgspec.structs.replace(
        policy,
        connection_pool=policy.connection_pool or baseline.connection_pool,
        outlier_detection=policy.outlier_detection or baseline.outlier_detection,
    )


def _on_port(policy: TrafficPolicy, port: int) -> TrafficPolicy:
    own = _own_settings(policy, port)
    if own is None:
        return msgspec.structs.replace(policy, port_level_settings=())
    # Nothing is inherited: what a port does not say is Envoy's default, not the rule's.
    return TrafficPolicy(
        load_balancer=own.load_balancer,
        connection_pool=own.connection_pool,
        outlier_detection=own.outlier_detection,
        tls=own.tls,
    )


def _overlaid(below: TrafficPolicy, subset: TrafficPolicy, port: int) -> TrafficPolicy:
    above = _on_port(subset, port)
    if _own_settings(subset, port) is not None:
        return msgspec.structs.replace(
            above,
            tunnel=below.tunnel,
            proxy_protocol=below.proxy_protocol,
            retry_budget=below.retry_budget,
        )
    return TrafficPolicy(
        load_balancer=above.load_balancer or below.load_balancer,
        connection_pool=above.connection_pool or below.connection_pool,
        outlier_detection=above.outlier_detection or below.outlier_detection,
        tls=above.tls or below.tls,
        tunnel=above.tunnel or below.tunnel,
        proxy_protocol=above.proxy_protocol or below.proxy_protocol,
        retry_budget=above.retry_budget or below.retry_budget,
    )


def _own_settings(policy: TrafficPolicy, port: int) -> PortTrafficPolicy | None:
    return next((own for own in policy.port_level_settings if own.port and own.port.number == port), None)


def _repeated(ref: Ref, index: int, name: str, winner: Ref) -> Finding:
    return Finding(
        code="PP0301",
        severity=Severity.WARNING,
        message=f"Subset {name!r} is passed over: {winner} has a subset of that name for the same host",
        ref=ref,
        field=f"spec.subsets[{index}].name",
        hint="Give each subset of a host a name of its own",
    )


def _overruled(ref: Ref, winner: Ref) -> Finding:
    return Finding(
        code="PP0302",
        severity=Severity.WARNING,
        message=f"This traffic policy is passed over: {winner} has one for the same host",
        ref=ref,
        field="spec.trafficPolicy",
        hint="Write one top-level traffic policy per host and namespace",
    )
