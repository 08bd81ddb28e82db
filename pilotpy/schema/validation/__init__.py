"""What Istio's admission refuses or warns about, one module per kind, as findings.

The Gateway API's kinds are looked at as its validation rules do, and of Kubernetes' own Services, EndpointSlices,
Ingresses and their classes as an API server would.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any, Final

from pilotpy.model.resource import Finding, Resource
from pilotpy.schema.problem import Problems, bounded
from pilotpy.schema.validation import gateway_api_routes as routes
from pilotpy.schema.validation.authorization_policy import authorization_policy
from pilotpy.schema.validation.destination_rule import destination_rule
from pilotpy.schema.validation.endpoint_slice import endpoint_slice
from pilotpy.schema.validation.envoy_filter import envoy_filter
from pilotpy.schema.validation.extensions import traffic_extension, wasm_plugin
from pilotpy.schema.validation.gateway import gateway
from pilotpy.schema.validation.gateway_api_backend_tls_policy import backend_tls_policy
from pilotpy.schema.validation.gateway_api_listeners import kubernetes_gateway, listener_set
from pilotpy.schema.validation.inference_pool import inference_pool
from pilotpy.schema.validation.ingress import ingress, ingress_class
from pilotpy.schema.validation.metadata import metadata
from pilotpy.schema.validation.peer_authentication import peer_authentication
from pilotpy.schema.validation.proxy_config import proxy_config
from pilotpy.schema.validation.request_authentication import request_authentication
from pilotpy.schema.validation.service import service
from pilotpy.schema.validation.service_entry import service_entry
from pilotpy.schema.validation.sidecar import sidecar
from pilotpy.schema.validation.telemetry import telemetry
from pilotpy.schema.validation.virtual_service import virtual_service
from pilotpy.schema.validation.workload import workload_entry, workload_group

_CHECKS: Final[dict[str, Callable[[Resource[Any]], Problems]]] = {
    "AuthorizationPolicy": authorization_policy,
    "BackendTLSPolicy": backend_tls_policy,
    "DestinationRule": destination_rule,
    "EndpointSlice": endpoint_slice,
    "EnvoyFilter": envoy_filter,
    "GRPCRoute": routes.grpc_route,
    "Gateway": gateway,
    "HTTPRoute": routes.http_route,
    "InferencePool": inference_pool,
    "Ingress": ingress,
    "IngressClass": ingress_class,
    "KubernetesGateway": kubernetes_gateway,
    "ListenerSet": listener_set,
    "PeerAuthentication": peer_authentication,
    "ProxyConfig": proxy_config,
    "RequestAuthentication": request_authentication,
    "Service": service,
    "ServiceEntry": service_entry,
    "Sidecar": sidecar,
    "TCPRoute": routes.stream_route,
    "TLSRoute": routes.tls_route,
    "Telemetry": telemetry,
    "TrafficExtension": traffic_extension,
    "UDPRoute": routes.stream_route,
    "VirtualService": virtual_service,
    "WasmPlugin": wasm_plugin,
    "WorkloadEntry": workload_entry,
    "WorkloadGroup": workload_group,
}


def validate(resource: Resource[Any]) -> list[Finding]:
    """What is wrong with a resource that has the right form."""
    check = _CHECKS.get(resource.ref.kind)
    if check is None:
        return []
    found = bounded(chain(metadata(resource), check(resource)))
    return [problem.finding(resource.ref) for problem in found]
