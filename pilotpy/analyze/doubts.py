"""All that is doubtful about one object, by its kind.

From a ref to findings with the codes and words of Istio's analyzers (``istioctl analyze``) where
they mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pilotpy.analyze import (
    authorization,
    claims,
    credentials,
    definitions,
    deployments,
    destinations,
    entries,
    envoy_filters,
    gateway_servers,
    gateways,
    images,
    injection,
    istio_annotations,
    mutual_tls,
    networks,
    old_fields,
    policy_targets,
    ports,
    rival_hosts,
    routes,
    sidecars,
    telemetries,
    webhooks,
    weights,
)
from pilotpy.analyze.kinds import KIND_OF
from pilotpy.engine import Asking, Query, query
from pilotpy.model.resource import Finding, Ref

Check = Query[[Ref], tuple[Finding, ...]]

CHECKS: Final[Mapping[str, tuple[Check, ...]]] = {
    "AuthorizationPolicy": (
        authorization.target_doubts,
        authorization.namespace_doubts,
        policy_targets.policy_doubts,
    ),
    "CustomResourceDefinition": (definitions.definition_doubts,),
    "Deployment": (
        istio_annotations.annotation_doubts,
        deployments.port_doubts,
        deployments.fetching_doubts,
        images.template_doubts,
    ),
    "DestinationRule": (destinations.subset_doubts, destinations.verification_doubts, mutual_tls.peer_doubts),
    "EnvoyFilter": (envoy_filters.patch_doubts,),
    "Gateway": (
        gateway_servers.workload_doubts,
        gateway_servers.conflict_doubts,
        gateway_servers.certificate_doubts,
        credentials.credential_doubts,
    ),
    "MeshNetworks": (networks.registry_doubts,),
    "MutatingWebhookConfiguration": (
        webhooks.address_doubts,
        webhooks.overlap_doubts,
        webhooks.service_doubts,
    ),
    "Namespace": (istio_annotations.annotation_doubts, injection.namespace_doubts, images.version_doubts),
    "PeerAuthentication": (mutual_tls.reach_doubts, mutual_tls.strict_doubts),
    "Pod": (istio_annotations.annotation_doubts, injection.proxy_doubts, images.pod_doubts),
    "RequestAuthentication": (authorization.target_doubts, policy_targets.policy_doubts),
    "Service": (istio_annotations.annotation_doubts, ports.port_name_doubts, ports.alias_doubts),
    "ServiceEntry": (entries.address_doubts, entries.protocol_doubts),
    "Sidecar": (
        sidecars.selector_doubts,
        sidecars.rival_doubts,
        sidecars.ambient_doubts,
        old_fields.sidecar_doubts,
    ),
    "Telemetry": (
        telemetries.selector_doubts,
        telemetries.rival_doubts,
        telemetries.provider_doubts,
        policy_targets.policy_doubts,
    ),
    "ValidatingWebhookConfiguration": (webhooks.address_doubts,),
    "VirtualService": (
        routes.destination_doubts,
        routes.ingress_doubts,
        weights.weight_doubts,
        rival_hosts.host_doubts,
        gateways.gateway_doubts,
        claims.claim_doubts,
        old_fields.route_doubts,
    ),
    "WasmPlugin": (policy_targets.policy_doubts,),
}
"""What is asked about the objects of each kind, in this order."""


_SUPPRESSED: Final = "galley.istio.io/analyze-suppress"


@query
def doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return what is doubtful about an object beside others; empty if nothing is, or it is gone.

    Codes that the object's annotation tells to keep quiet about are left out.
    """
    found = q.get(KIND_OF[ref.kind], ref.namespace, ref.name)
    suppressed = found.meta.annotations.get(_SUPPRESSED, "").split(",") if found else []
    codes = {code.strip() for code in suppressed}
    said = (finding for check in CHECKS.get(ref.kind, ()) for finding in q(check, ref))
    return tuple(finding for finding in said if not codes & {finding.code, "*"})
