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
from pilotpy.model.peer_authentication import PeerAuthentication
from pilotpy.model.proxy_config import ProxyConfig
from pilotpy.model.request_authentication import RequestAuthentication
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


def _networking(kind: str, spec: type[msgspec.Struct], *, status: bool = False) -> Schema:
    return Schema(kind, "networking.istio.io", frozenset({"v1", "v1beta1", "v1alpha3"}), spec, status=status)


def _security(kind: str, spec: type[msgspec.Struct]) -> Schema:
    return Schema(kind, "security.istio.io", frozenset({"v1", "v1beta1"}), spec)


def _core(kind: str, spec: type[msgspec.Struct], place: Place = Place.SPEC, **rest: Any) -> Schema:
    return Schema(kind, "", frozenset({"v1"}), spec, place, **rest)


def _apps(kind: str, spec: type[msgspec.Struct]) -> Schema:
    return Schema(kind, "apps", frozenset({"v1"}), spec)


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
    _core("Service", core.KubeService),
    _core("Endpoints", core.KubeEndpoints, Place.BESIDE),
    Schema("EndpointSlice", "discovery.k8s.io", frozenset({"v1"}), core.EndpointSlice, Place.BESIDE),
    _core("Pod", pod.Pod, status=True),
    _core("Node", core.Node, namespaced=False),
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
    "gateway.networking.k8s.io": frozenset(
        {
            "BackendTLSPolicy",
            "GRPCRoute",
            "Gateway",
            "GatewayClass",
            "HTTPRoute",
            "ListenerSet",
            "ReferenceGrant",
            "TCPRoute",
            "TLSRoute",
            "UDPRoute",
        }
    ),
    "gateway.networking.x-k8s.io": frozenset({"XBackendTrafficPolicy", "XListenerSet", "XMesh"}),
    "inference.networking.k8s.io": frozenset({"InferencePool"}),
    "networking.k8s.io": frozenset({"Ingress", "IngressClass"}),
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
