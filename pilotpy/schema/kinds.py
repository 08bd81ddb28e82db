"""The kinds that are known: what their specs are, where those stand, and in which apiVersions."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec

from pilotpy.model import kubernetes as core
from pilotpy.model import pod, workload
from pilotpy.model.authorization_policy import AuthorizationPolicy
from pilotpy.model.custom_resource_definition import CustomResourceDefinition
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
from pilotpy.model.gateway_api_references import GROUP as GATEWAY_API
from pilotpy.model.gateway_api_stream_routes import TCPRoute, TLSRoute, UDPRoute
from pilotpy.model.inference_pool import InferencePool
from pilotpy.model.ingress import Ingress, IngressClass
from pilotpy.model.peer_authentication import PeerAuthentication
from pilotpy.model.proxy_config import ProxyConfig
from pilotpy.model.request_authentication import RequestAuthentication
from pilotpy.model.resource import Ref
from pilotpy.model.service_entry import ServiceEntry
from pilotpy.model.sidecar import Sidecar
from pilotpy.model.telemetry import Telemetry
from pilotpy.model.traffic_extension import TrafficExtension
from pilotpy.model.virtual_service import VirtualService
from pilotpy.model.wasm_plugin import WasmPlugin
from pilotpy.model.webhook import MutatingWebhookConfiguration, ValidatingWebhookConfiguration
from pilotpy.model.workload_entry import RegisteredWorkload
from pilotpy.model.workload_group import WorkloadGroup


class Place(Enum):
    """Where in an object its spec stands."""

    SPEC = "under spec"
    BESIDE = "beside metadata"


class Schema(NamedTuple):
    """How the objects of one kind are read."""

    kind: str
    group: str  # "" for core
    versions: frozenset[str]
    spec: type[msgspec.Struct]
    place: Place = Place.SPEC
    namespaced: bool = True
    status: bool = False  # the status is read too, as the spec's field "status"

    @property
    def called(self) -> str:
        """How refs call the kind."""
        return called(self.group, self.kind)


KUBERNETES_GATEWAY: Final = "KubernetesGateway"


def called(group: str, kind: str) -> str:
    """How refs call a kind: by its name, but for the Gateway API's Gateway, since Istio has one, too."""
    return KUBERNETES_GATEWAY if (group, kind) == (GATEWAY_API, "Gateway") else kind


def kind_of(ref: Ref) -> str:
    """The name of a ref's kind in its API."""
    return "Gateway" if ref.kind == KUBERNETES_GATEWAY else ref.kind


def _networking(kind: str, spec: type[msgspec.Struct], *, status: bool = False) -> Schema:
    return Schema(kind, "networking.istio.io", frozenset({"v1", "v1beta1", "v1alpha3"}), spec, status=status)


def _security(kind: str, spec: type[msgspec.Struct]) -> Schema:
    return Schema(kind, "security.istio.io", frozenset({"v1", "v1beta1"}), spec)


def _core(kind: str, spec: type[msgspec.Struct], place: Place = Place.SPEC, **rest: Any) -> Schema:
    return Schema(kind, "", frozenset({"v1"}), spec, place, **rest)


def _apps(kind: str, spec: type[msgspec.Struct]) -> Schema:
    return Schema(kind, "apps", frozenset({"v1"}), spec)


def _gateway_api(kind: str, spec: type[msgspec.Struct], *older: str, namespaced: bool = True) -> Schema:
    return Schema(kind, GATEWAY_API, frozenset({"v1", *older}), spec, namespaced=namespaced)


def _webhooks(kind: str, spec: type[msgspec.Struct]) -> Schema:
    group = "admissionregistration.k8s.io"
    return Schema(kind, group, frozenset({"v1"}), spec, Place.BESIDE, namespaced=False)


_SCHEMAS = (
    _networking("VirtualService", VirtualService),
    _networking("DestinationRule", DestinationRule),
    _networking("ServiceEntry", ServiceEntry, status=True),
    _networking("WorkloadEntry", RegisteredWorkload, status=True),
    _networking("WorkloadGroup", WorkloadGroup),
    _networking("Sidecar", Sidecar),
    _networking("Gateway", Gateway),
    _networking("EnvoyFilter", EnvoyFilter),
    _networking("ProxyConfig", ProxyConfig),
    _security("PeerAuthentication", PeerAuthentication),
    _security("RequestAuthentication", RequestAuthentication),
    _security("AuthorizationPolicy", AuthorizationPolicy),
    Schema("Telemetry", "telemetry.istio.io", frozenset({"v1", "v1alpha1"}), Telemetry),
    Schema("WasmPlugin", "extensions.istio.io", frozenset({"v1alpha1"}), WasmPlugin),
    Schema("TrafficExtension", "extensions.istio.io", frozenset({"v1alpha1"}), TrafficExtension),
    _gateway_api("GatewayClass", GatewayClass, "v1beta1", namespaced=False),
    _gateway_api("Gateway", KubernetesGateway, "v1beta1"),
    _gateway_api("ListenerSet", ListenerSet),
    _gateway_api("HTTPRoute", HTTPRoute, "v1beta1"),
    _gateway_api("GRPCRoute", GRPCRoute, "v1alpha2"),
    _gateway_api("TLSRoute", TLSRoute, "v1alpha3", "v1alpha2"),
    _gateway_api("TCPRoute", TCPRoute, "v1alpha2"),
    _gateway_api("UDPRoute", UDPRoute, "v1alpha2"),
    _gateway_api("ReferenceGrant", ReferenceGrant, "v1beta1", "v1alpha2"),
    _gateway_api("BackendTLSPolicy", BackendTLSPolicy, "v1alpha3"),
    Schema("InferencePool", "inference.networking.k8s.io", frozenset({"v1"}), InferencePool),
    Schema("Ingress", "networking.k8s.io", frozenset({"v1"}), Ingress),
    Schema("IngressClass", "networking.k8s.io", frozenset({"v1"}), IngressClass, namespaced=False),
    _core("Service", core.KubeService, status=True),
    _core("Endpoints", core.KubeEndpoints, Place.BESIDE),
    Schema("EndpointSlice", "discovery.k8s.io", frozenset({"v1"}), core.EndpointSlice, Place.BESIDE),
    _core("Pod", pod.Pod, status=True),
    _core("Node", core.Node, namespaced=False, status=True),
    _core("Namespace", core.Namespace, namespaced=False),
    _core("ServiceAccount", core.ServiceAccount, Place.BESIDE),
    _core("ConfigMap", core.ConfigMap, Place.BESIDE),
    _core("Secret", core.Secret, Place.BESIDE),
    _apps("Deployment", workload.Deployment),
    _apps("ReplicaSet", workload.ReplicaSet),
    _apps("StatefulSet", workload.StatefulSet),
    _apps("DaemonSet", workload.DaemonSet),
    Schema("Job", "batch", frozenset({"v1"}), workload.Job),
    Schema("CronJob", "batch", frozenset({"v1"}), workload.CronJob),
    _webhooks("MutatingWebhookConfiguration", MutatingWebhookConfiguration),
    _webhooks("ValidatingWebhookConfiguration", ValidatingWebhookConfiguration),
    Schema(
        "CustomResourceDefinition",
        "apiextensions.k8s.io",
        frozenset({"v1"}),
        CustomResourceDefinition,
        namespaced=False,
    ),
)

SCHEMAS: Final = {(schema.group, schema.kind): schema for schema in _SCHEMAS}
"""By group and kind: a Gateway is one of Istio's or one of the Gateway API's."""

RECOGNISED: Final = {
    "gateway.networking.k8s.io": frozenset({"BackendLBPolicy"}),
    "gateway.networking.x-k8s.io": frozenset({"XBackend", "XBackendTrafficPolicy", "XListenerSet", "XMesh"}),
    "multicluster.x-k8s.io": frozenset({"ServiceExport", "ServiceImport"}),
}
"""Kinds, by group, that a mesh could serve and this one does not yet: objects of them yield a finding."""

IRRELEVANT: Final = {
    "": frozenset(
        {
            "Event",
            "LimitRange",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
        }
    ),
    "apps": frozenset({"ControllerRevision"}),
    "networking.k8s.io": frozenset({"NetworkPolicy"}),
}
"""Kinds, by group, that say nothing to a mesh: passed over without a word."""

IRRELEVANT_GROUPS: Final = frozenset(
    {
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "autoscaling",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "kustomize.config.k8s.io",
        "metrics.k8s.io",
        "monitoring.coreos.com",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    }
)
"""Groups of which no kind says anything to a mesh."""
