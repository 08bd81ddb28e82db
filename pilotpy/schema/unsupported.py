"""What is read, understood, and without effect yet: whole kinds, and single fields of others.

A line goes when its kind or field is compiled. What can only be told from other objects, or from
the proxy that asks, is told where it is compiled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain
from typing import Any, Final

import msgspec

from pilotpy.model.kubernetes import KubeService
from pilotpy.model.mesh_config import MeshConfig
from pilotpy.model.mesh_networks import MeshNetworks
from pilotpy.model.resource import Finding, Resource
from pilotpy.schema import codes
from pilotpy.schema.classes import is_for_others
from pilotpy.schema.kinds import kind_of
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning

_KINDS: Final = {
    "BackendTLSPolicy": "connections to backends have the TLS that other objects say",
    "CronJob": "it makes no Pods",
    "EnvoyFilter": "nothing is patched",
    "GRPCRoute": "no call is routed by it",
    "Gateway": "no gateway is configured",
    "GatewayClass": "no gateway is configured",
    "HTTPRoute": "no request is routed by it",
    "InferencePool": "no request is sent to it",
    "Ingress": "no request is routed by it",
    "IngressClass": "no Ingress is served",
    "KubernetesGateway": "no gateway is configured",
    "ListenerSet": "no gateway is configured",
    "ProxyConfig": "proxies are started without it",
    "ReferenceGrant": "nothing is attached that it could permit",
    "TCPRoute": "no connection is routed by it",
    "TLSRoute": "no connection is routed by it",
    "Telemetry": "the mesh configuration alone says what is reported",
    "TrafficExtension": "the filter does not run",
    "UDPRoute": "no datagram is routed by it",
    "WasmPlugin": "the plugin does not run",
    "WorkloadGroup": "no workload can register itself",
}

_UNATTACHED: Final = "there are no gateways or waypoints to attach it to"

_FIELDS: Final = {
    "AuthorizationPolicy": {"targetRef": _UNATTACHED, "targetRefs": _UNATTACHED},
    "RequestAuthentication": {"targetRef": _UNATTACHED, "targetRefs": _UNATTACHED},
    "DaemonSet": {
        "minReadySeconds": "a Pod counts as soon as it is ready",
        "updateStrategy.rollingUpdate": "one Pod at a time is replaced",
        "updateStrategy.type": "Pods are replaced, one at a time",
    },
    "Deployment": {
        "minReadySeconds": "a Pod counts as soon as it is ready",
        "paused": "Pods follow the template at once",
    },
    "Service": {"sessionAffinity": "a DestinationRule with consistentHash keeps clients at one endpoint"},
    "ServiceEntry": {"status.addresses": "the host has the addresses of its spec alone"},
    "Sidecar": {"ingress[*].tls": "PeerAuthentication alone says which TLS the listener takes"},
    "StatefulSet": {
        "minReadySeconds": "a Pod counts as soon as it is ready",
        "updateStrategy.rollingUpdate.maxUnavailable": "one Pod at a time is replaced",
        "updateStrategy.rollingUpdate.partition": "Pods of all numbers are replaced",
        "updateStrategy.type": "Pods are replaced, one at a time",
    },
    "VirtualService": {"tcp[*].match[*].sourceSubnet": "connections from everywhere match"},
}
"""By kind: fields below spec, and what happens instead."""

_ANNOTATIONS: Final = {
    "ServiceEntry": {"istio.io/connect-strategy": "clients connect to one address after the other"},
}
"""By kind: annotations, and what happens instead."""

_CAPTURE: Final = "ISTIO_META_DNS_CAPTURE"

_MESH: Final = {
    "ca": "no certificates are issued",
    "caCertificates[*].spiffeBundleUrl": "the bundle is not fetched",
    "certificates": "no certificates are issued",
    "configSources": "objects are read from where the command says",
    "defaultInboundHttpRetryPolicy": "inbound requests are not retried",
    "enablePrometheusMerge": "the application's metrics stay where they are",
    "hboneIdleTimeout": "there is no ambient mesh",
    "ingressClass": "no Ingress is served",
    "ingressControllerMode": "no Ingress is served",
    "ingressSelector": "no Ingress is served",
    "ingressService": "no Ingress is served",
    "serviceEntryVisibility": "exportTo alone says who sees a ServiceEntry",
    "serviceScopeConfigs": "there is no ambient mesh",
    "verifyCertificateAtClient": "servers are verified unless a rule says insecureSkipVerify",
    "defaultConfig.connectionSettings": "connections have Envoy's limits",
    "defaultConfig.envoyAccessLogService": "access logs go to files",
    "defaultConfig.envoyMetricsService": "metrics are scraped",
    "defaultConfig.extraStatTags": "metrics have the usual tags",
    "defaultConfig.fileFlushInterval": "access logs are flushed as Envoy does",
    "defaultConfig.fileFlushMinSizeKb": "access logs are flushed as Envoy does",
    "defaultConfig.gatewayTopology": "no gateway is configured",
    "defaultConfig.privateKeyProvider": "keys are used as they are",
    "defaultConfig.proxyStatsMatcher": "metrics are the usual ones",
    "defaultConfig.runtimeValues": "Envoy's runtime is as it was built",
    "defaultConfig.statsCompression": "metrics are sent as Envoy does",
    "defaultConfig.statsdUdpAddress": "metrics are scraped",
}


def unsupported(resource: Resource[Any]) -> list[Finding]:
    """What of a resource has no effect yet; nothing if it is not for a mesh to give it any."""
    kind = resource.ref.kind
    if is_for_others(resource):
        return []
    if kind in _KINDS:
        found: Problems = iter((_without_effect("kind", kind_of(resource.ref), _KINDS[kind]),))
    else:
        found = chain(
            _fields(resource.spec, "spec", _FIELDS.get(kind, {})),
            _annotations(resource.meta.annotations, _ANNOTATIONS.get(kind, {})),
            _second_family(resource.spec) if isinstance(resource.spec, KubeService) else (),
        )
    return [
        problem._replace(field=problem.field.replace("spec.status.", "status.", 1)).finding(resource.ref)
        for problem in found
    ]


def unsupported_settings(config: MeshConfig) -> Problems:
    """What of a mesh configuration has no effect yet."""
    yield from _fields(config, "", _MESH)
    if config.outbound_traffic_policy.mode == "ALLOW_ANY_DYNAMIC_DNS":
        instead = "it is as ALLOW_ANY, and the hosts of requests are not looked up"
        yield _without_effect("outboundTrafficPolicy.mode", "ALLOW_ANY_DYNAMIC_DNS", instead)
    if config.enable_tracing and config.default_providers.tracing:
        instead = "the tracer is the one that proxies start with"
        yield _without_effect("defaultProviders.tracing", "tracing", instead)
    if config.default_config.proxy_metadata.get(_CAPTURE) == "true":
        instead = "those without addresses are found by their applications' own DNS, and told apart by port alone"
        yield _without_effect(
            f"defaultConfig.proxyMetadata.{_CAPTURE}", "allocation of addresses to ServiceEntries", instead
        )


def unsupported_networks(networks: MeshNetworks) -> Problems:
    """What of a mesh's networks has no effect yet."""
    instead = "the gateway stands in for endpoints in the locality of each"
    yield from _fields(networks, "", {"networks[*].gateways[*].locality": instead})


def _annotations(written: Mapping[str, str], table: Mapping[str, str]) -> Problems:
    for name, instead in table.items():
        if name in written:
            yield _without_effect(below("metadata.annotations", name), name, instead)


def _second_family(service: KubeService) -> Problems:
    if service.ip_family_policy == "RequireDualStack" or len({":" in one for one in service.cluster_ips}) > 1:
        instead = "each proxy listens at the first address of a family that it has"
        field = "spec.ipFamilyPolicy" if service.ip_family_policy else "spec.clusterIPs"
        yield _without_effect(field, "a second address family", instead)


def _fields(spec: Any, at: str, table: Mapping[str, str]) -> Problems:
    for pattern, instead in table.items():
        for field in _written(spec, pattern.split("."), at):
            yield _without_effect(field, pattern.rpartition(".")[2], instead)


def _without_effect(field: str, name: str, instead: str) -> Problem:
    hint = f"Leave {name} out; or keep it, if that will do"
    return warning(field, f"{name} has no effect yet: {instead}", hint, codes.NOT_COMPILED)


def _written(value: Any, steps: list[str], at: str) -> Iterator[str]:
    """The paths that a pattern stands for, of fields that differ from their defaults."""
    step, *rest = steps
    name = step.removesuffix("[*]")
    struct: type[msgspec.Struct] = type(value)
    field, default = _known(struct)[name]
    here, inner = below(at, name), getattr(value, field)
    if inner == default:
        return
    if not rest:
        yield here
    elif step.endswith("[*]"):
        for key, one in inner.items() if isinstance(inner, Mapping) else enumerate(inner):
            yield from _written(one, rest, below(here, key))
    else:
        yield from _written(inner, rest, here)


@cache
def _known(struct: type[msgspec.Struct]) -> Mapping[str, tuple[str, Any]]:
    """The fields of a struct by their names in JSON: how they are called here, and their defaults."""
    return {
        field.encode_name: (
            field.name,
            field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory(),
        )
        for field in msgspec.structs.fields(struct)
    }
