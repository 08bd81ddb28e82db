"""The inputs of the mesh: one kind per model kind, and where each is found by name.

Keys are (namespace, name), with "" for what has no namespace; ``MESH_CONFIG`` has the one key
("",), ``PROXIES`` are keyed (proxy id,), ``KEY_SETS`` (source,).
"""

from __future__ import annotations

from typing import Any

from pilotpy.engine import Kind
from pilotpy.mesh.proxy import Proxy
from pilotpy.model import kubernetes as k8s
from pilotpy.model.authorization_policy import AuthorizationPolicy
from pilotpy.model.destination_rule import DestinationRule
from pilotpy.model.envoy_filter import EnvoyFilter
from pilotpy.model.gateway import Gateway
from pilotpy.model.gateway_api_backend_tls_policy import BackendTLSPolicy
from pilotpy.model.gateway_api_gateway import Gateway as KubernetesGateway
from pilotpy.model.gateway_api_gateway_class import GatewayClass
from pilotpy.model.gateway_api_grpc_route import GRPCRoute
from pilotpy.model.gateway_api_http_route import HTTPRoute
from pilotpy.model.gateway_api_listener_set import ListenerSet
from pilotpy.model.gateway_api_reference_grant import ReferenceGrant
from pilotpy.model.gateway_api_stream_routes import TCPRoute, TLSRoute, UDPRoute
from pilotpy.model.inference_pool import InferencePool
from pilotpy.model.ingress import Ingress, IngressClass
from pilotpy.model.key_set import KeySet
from pilotpy.model.mesh_config import MeshConfig
from pilotpy.model.mesh_networks import MeshNetworks
from pilotpy.model.peer_authentication import PeerAuthentication
from pilotpy.model.pod import Pod
from pilotpy.model.proxy_config import ProxyConfig
from pilotpy.model.request_authentication import RequestAuthentication
from pilotpy.model.resource import Resource
from pilotpy.model.service_entry import ServiceEntry
from pilotpy.model.sidecar import Sidecar
from pilotpy.model.telemetry import Telemetry
from pilotpy.model.virtual_service import VirtualService
from pilotpy.model.wasm_plugin import WasmPlugin
from pilotpy.model.workload_entry import RegisteredWorkload
from pilotpy.model.workload_group import WorkloadGroup

SERVICES: Kind[Resource[k8s.KubeService]] = Kind("Service")
SERVICES_ELSEWHERE: Kind[Resource[k8s.KubeService]] = Kind("ServiceElsewhere")
"""The Services of other clusters, each as it is there: <name>@<cluster>. What all have in common is in ``SERVICES``."""
ENDPOINTS: Kind[Resource[k8s.KubeEndpoints]] = Kind("Endpoints")
ENDPOINT_SLICES: Kind[Resource[k8s.EndpointSlice]] = Kind("EndpointSlice")
PODS: Kind[Resource[Pod]] = Kind("Pod")
NODES: Kind[Resource[k8s.Node]] = Kind("Node")
NAMESPACES: Kind[Resource[k8s.Namespace]] = Kind("Namespace")
SERVICE_ACCOUNTS: Kind[Resource[k8s.ServiceAccount]] = Kind("ServiceAccount")
CONFIG_MAPS: Kind[Resource[k8s.ConfigMap]] = Kind("ConfigMap")
SECRETS: Kind[Resource[k8s.Secret]] = Kind("Secret")

VIRTUAL_SERVICES: Kind[Resource[VirtualService]] = Kind("VirtualService")
DESTINATION_RULES: Kind[Resource[DestinationRule]] = Kind("DestinationRule")
SERVICE_ENTRIES: Kind[Resource[ServiceEntry]] = Kind("ServiceEntry")
WORKLOAD_ENTRIES: Kind[Resource[RegisteredWorkload]] = Kind("WorkloadEntry")
WORKLOAD_GROUPS: Kind[Resource[WorkloadGroup]] = Kind("WorkloadGroup")
SIDECARS: Kind[Resource[Sidecar]] = Kind("Sidecar")
GATEWAYS: Kind[Resource[Gateway]] = Kind("Gateway")
ENVOY_FILTERS: Kind[Resource[EnvoyFilter]] = Kind("EnvoyFilter")
PROXY_CONFIGS: Kind[Resource[ProxyConfig]] = Kind("ProxyConfig")
PEER_AUTHENTICATIONS: Kind[Resource[PeerAuthentication]] = Kind("PeerAuthentication")
REQUEST_AUTHENTICATIONS: Kind[Resource[RequestAuthentication]] = Kind("RequestAuthentication")
AUTHORIZATION_POLICIES: Kind[Resource[AuthorizationPolicy]] = Kind("AuthorizationPolicy")
TELEMETRIES: Kind[Resource[Telemetry]] = Kind("Telemetry")
WASM_PLUGINS: Kind[Resource[WasmPlugin]] = Kind("WasmPlugin")

GATEWAY_CLASSES: Kind[Resource[GatewayClass]] = Kind("GatewayClass")
KUBERNETES_GATEWAYS: Kind[Resource[KubernetesGateway]] = Kind("KubernetesGateway")
LISTENER_SETS: Kind[Resource[ListenerSet]] = Kind("ListenerSet")
HTTP_ROUTES: Kind[Resource[HTTPRoute]] = Kind("HTTPRoute")
GRPC_ROUTES: Kind[Resource[GRPCRoute]] = Kind("GRPCRoute")
TLS_ROUTES: Kind[Resource[TLSRoute]] = Kind("TLSRoute")
TCP_ROUTES: Kind[Resource[TCPRoute]] = Kind("TCPRoute")
UDP_ROUTES: Kind[Resource[UDPRoute]] = Kind("UDPRoute")
REFERENCE_GRANTS: Kind[Resource[ReferenceGrant]] = Kind("ReferenceGrant")
BACKEND_TLS_POLICIES: Kind[Resource[BackendTLSPolicy]] = Kind("BackendTLSPolicy")
INFERENCE_POOLS: Kind[Resource[InferencePool]] = Kind("InferencePool")
INGRESSES: Kind[Resource[Ingress]] = Kind("Ingress")
INGRESS_CLASSES: Kind[Resource[IngressClass]] = Kind("IngressClass")

MESH_CONFIG: Kind[MeshConfig] = Kind("MeshConfig")
MESH_NETWORKS: Kind[Resource[MeshNetworks]] = Kind("MeshNetworks")
PROXIES: Kind[Proxy] = Kind("Proxy")
KEY_SETS: Kind[KeySet] = Kind("KeySet")

KIND_OF: dict[str, Kind[Any]] = {
    kind.name: kind
    for kind in (
        SERVICES,
        SERVICES_ELSEWHERE,
        ENDPOINTS,
        ENDPOINT_SLICES,
        PODS,
        NODES,
        NAMESPACES,
        SERVICE_ACCOUNTS,
        CONFIG_MAPS,
        SECRETS,
        VIRTUAL_SERVICES,
        DESTINATION_RULES,
        SERVICE_ENTRIES,
        WORKLOAD_ENTRIES,
        WORKLOAD_GROUPS,
        SIDECARS,
        GATEWAYS,
        ENVOY_FILTERS,
        PROXY_CONFIGS,
        PEER_AUTHENTICATIONS,
        REQUEST_AUTHENTICATIONS,
        AUTHORIZATION_POLICIES,
        TELEMETRIES,
        WASM_PLUGINS,
        GATEWAY_CLASSES,
        KUBERNETES_GATEWAYS,
        LISTENER_SETS,
        HTTP_ROUTES,
        GRPC_ROUTES,
        TLS_ROUTES,
        TCP_ROUTES,
        UDP_ROUTES,
        REFERENCE_GRANTS,
        BACKEND_TLS_POLICIES,
        INFERENCE_POOLS,
        INGRESSES,
        INGRESS_CLASSES,
        MESH_NETWORKS,
    )
}
