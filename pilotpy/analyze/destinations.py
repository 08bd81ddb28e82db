"""What is doubtful about DestinationRules: hosts and subsets that nobody is in, servers that nobody verifies."""

from __future__ import annotations

from collections.abc import Iterator

from pilotpy.engine import Asking, query
from pilotpy.mesh.hosts import whole
from pilotpy.mesh.kinds import DESTINATION_RULES
from pilotpy.mesh.service import Registry
from pilotpy.mesh.services import service, services_within
from pilotpy.mesh.workloads import chosen_pods
from pilotpy.model.destination_rule import ClientTLSSettings, DestinationRule
from pilotpy.model.resource import Finding, Ref, Severity


@query
def subset_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if no service has a rule's host, else one for each subset that no Pod is in."""
    rule = q.get(DESTINATION_RULES, ref.namespace, ref.name)
    if rule is None:
        return ()
    keys = services_within(q, whole(rule.spec.host, ref.namespace), ref.namespace)
    if not keys:
        return (_unknown_host(ref, rule.spec.host),)
    found = [found for key in keys if (found := q(service, key))]
    if any(one.registry is not Registry.KUBERNETES or not one.selector for one in found):
        return ()
    doubtful = []
    for index, subset in enumerate(rule.spec.subsets):
        wanted = [tuple(sorted({*one.selector, *subset.labels.items()})) for one in found]
        if not any(q(chosen_pods, one.key.namespace, labels) for one, labels in zip(found, wanted, strict=True)):
            doubtful.append(_empty_subset(ref, index, subset.name))
    return tuple(doubtful)


@query
def verification_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each place where TLS is asked for and the server's certificate is not verified."""
    rule = q.get(DESTINATION_RULES, ref.namespace, ref.name)
    return tuple(_unverified(ref, rule.spec)) if rule else ()


def _unverified(ref: Ref, rule: DestinationRule) -> Iterator[Finding]:
    policy = rule.traffic_policy
    if policy is None:
        return
    where = f"DestinationRule {ref.name} in namespace {ref.namespace} has TLS mode set to"
    if policy.tls and not _verifies(rule, policy.tls):
        yield Finding(
            code="IST0128",
            severity=Severity.WARNING,
            message=f"{where} {policy.tls.mode} but no caCertificates are set to validate server identity"
            f" for host: {rule.host}",
            ref=ref,
            field="spec.trafficPolicy.tls.mode",
            hint="Set caCertificates",
        )
    for index, port in enumerate(policy.port_level_settings):
        if port.tls and not _verifies(rule, port.tls):
            number = port.port.number if port.port else 0
            yield Finding(
                code="IST0129",
                severity=Severity.WARNING,
                message=f"{where} {port.tls.mode} but no caCertificates are set to validate server identity"
                f" for host: {rule.host} at port number:{number}",
                ref=ref,
                field=f"spec.trafficPolicy.portLevelSettings[{index}].tls.mode",
                hint="Set caCertificates",
            )


def _verifies(rule: DestinationRule, tls: ClientTLSSettings) -> bool:
    if tls.mode not in {"SIMPLE", "MUTUAL"} or tls.ca_certificates or tls.insecure_skip_verify:
        return True
    # Sidecars read credentials only for rules that pick workloads.
    return bool(tls.credential_name and rule.workload_selector)


def _unknown_host(ref: Ref, host: str) -> Finding:
    return Finding(
        code="IST0174",
        severity=Severity.WARNING,
        message=f"The host {host} defined in the DestinationRule does not match any services in the mesh",
        ref=ref,
        field="spec.host",
        hint=f"A short name is of this namespace: {whole(host, ref.namespace)}",
    )


def _empty_subset(ref: Ref, index: int, name: str) -> Finding:
    return Finding(
        code="IST0173",
        severity=Severity.ERROR,
        message=f"The Subset {name} defined in the DestinationRule does not select any pods."
        " Which may lead to 503 UH (NoHealthyUpstream)",
        ref=ref,
        field=f"spec.subsets[{index}].labels",
        hint="Name labels that Pods of the service have",
    )
