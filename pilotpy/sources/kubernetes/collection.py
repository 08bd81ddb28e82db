"""The collections of an API server that say something to a mesh: where each is, and how its objects are read.

Kubernetes' own kinds are read field by field, but for Ingress; that, Istio's and the Gateway API's as those of a file
are, with all that is wrong with them, since nothing but their schema may have looked at them yet. Versions are tried in
turn: which are served depends on what is installed.

Source  what istiod watches: istio pilot/pkg/bootstrap, pkg/config/schema; config/crd of kubernetes-sigs/gateway-api.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from pilotpy.model.gateway_api_references import GROUP as GATEWAY_API
from pilotpy.model.resource import Finding, Meta, Resource, Severity
from pilotpy.model.webhook import MutatingWebhookConfiguration
from pilotpy.schema import codes
from pilotpy.schema.admission import admitted
from pilotpy.schema.closed import closed
from pilotpy.schema.kinds import called
from pilotpy.sources.kubernetes.core_kinds import reader
from pilotpy.sources.kubernetes.wire import JSON, Read, named

Reader = Callable[[bytes | msgspec.Raw], Read]


class Collection(NamedTuple):
    """All objects of one kind."""

    kind: str
    group: str  # "" for core
    versions: tuple[str, ...]  # newest first
    plural: str
    read: Reader
    defined: bool = False  # by a CustomResourceDefinition: it may come and go
    field_selector: str = ""
    label_selector: str = ""
    namespace: str = ""  # "": all of them
    named_only: bool = False  # no more than the metadata is asked for

    def path(self, version: str) -> str:
        """Where it is in a version."""
        root = f"/apis/{self.group}/{version}" if self.group else f"/api/{version}"
        return f"{root}/namespaces/{self.namespace}/{self.plural}" if self.namespace else f"{root}/{self.plural}"

    def accept(self, *, watch: bool) -> str:
        """In which form it is asked for."""
        form = "PartialObjectMetadata" if watch else "PartialObjectMetadataList"
        return f"{JSON};as={form};g=meta.k8s.io;v=v1,{JSON}" if self.named_only else JSON

    @property
    def called(self) -> str:
        """How refs call the kind."""
        return called(self.group, self.kind)

    @property
    def name(self) -> str:
        """As people and definitions call it: "virtualservices.networking.istio.io"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _core(kind: str, plural: str, group: str = "", *, field_selector: str = "") -> Collection:
    return Collection(kind, group, ("v1",), plural, _checked(kind, reader(kind)), field_selector=field_selector)


def _checked(kind: str, read: Callable[[bytes | msgspec.Raw], Resource[Any]]) -> Reader:
    def checked(text: bytes | msgspec.Raw) -> Read:
        try:
            resource = read(text)
        except msgspec.DecodeError as error:
            return _unread(kind, text, error)
        return Read(resource.ref, resource)

    return checked


def _written(kind: str, api_version: str) -> Reader:
    # Lists of Kubernetes' own kinds leave out what the list says.
    implied = {"kind": kind, "apiVersion": api_version}

    def read(text: bytes | msgspec.Raw) -> Read:
        try:
            raw = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as error:
            return _unread(called(api_version.partition("/")[0], kind), text, error)
        raw = implied | raw
        resource, findings = admitted(raw, namespace="")
        if resource is not None:
            return Read(resource.ref, resource, tuple(findings))
        ref = next((one.ref for one in findings if one.ref), None)
        return Read(ref, None, tuple(findings), closed(raw, namespace=""))

    return read


def _unread(kind: str, text: bytes | msgspec.Raw, error: Exception) -> Read:
    try:
        ref = named(text).metadata.ref(kind)
    except msgspec.DecodeError:
        ref = None
    finding = Finding(
        code=codes.INVALID,
        severity=Severity.ERROR,
        message=f"{kind} that the API server holds cannot be read: {error}",
        ref=ref,
        hint="What it said before, if anything, still counts",
    )
    return Read(ref, None, (finding,))


def _all_of(group: str, versions: tuple[str, ...], kinds: dict[str, str], *, defined: bool = True) -> list[Collection]:
    return [
        Collection(kind, group, versions, plural, _written(kind, f"{group}/{versions[0]}"), defined=defined)
        for kind, plural in kinds.items()
    ]


def _tagging(text: bytes | msgspec.Raw) -> Resource[Any]:
    about = named(text).metadata
    return Resource(about.ref("MutatingWebhookConfiguration"), about.meta(), MutatingWebhookConfiguration())


COLLECTIONS: Final = (
    _core("Namespace", "namespaces"),
    _core("Node", "nodes"),
    _core("Service", "services"),
    _core("EndpointSlice", "endpointslices", "discovery.k8s.io"),
    # A copy for every Service of what its slices say, unless nobody makes slices for it.
    _core("Endpoints", "endpoints"),
    _core("Pod", "pods", field_selector="status.phase!=Failed"),
    _core("ServiceAccount", "serviceaccounts"),
    _core("ConfigMap", "configmaps"),
    _core(
        "Secret",
        "secrets",
        field_selector="type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token",
    ),
    # Of webhooks, only which revision a tag stands for.
    Collection(
        "MutatingWebhookConfiguration",
        "admissionregistration.k8s.io",
        ("v1",),
        "mutatingwebhookconfigurations",
        _checked("MutatingWebhookConfiguration", _tagging),
        label_selector="istio.io/tag",
        named_only=True,
    ),
    *_all_of("networking.k8s.io", ("v1",), {"Ingress": "ingresses", "IngressClass": "ingressclasses"}, defined=False),
    *_all_of(
        "networking.istio.io",
        ("v1", "v1beta1", "v1alpha3"),
        {
            "VirtualService": "virtualservices",
            "DestinationRule": "destinationrules",
            "ServiceEntry": "serviceentries",
            "WorkloadEntry": "workloadentries",
            "WorkloadGroup": "workloadgroups",
            "Sidecar": "sidecars",
            "Gateway": "gateways",
            "EnvoyFilter": "envoyfilters",
            "ProxyConfig": "proxyconfigs",
        },
    ),
    *_all_of(
        "security.istio.io",
        ("v1", "v1beta1"),
        {
            "PeerAuthentication": "peerauthentications",
            "RequestAuthentication": "requestauthentications",
            "AuthorizationPolicy": "authorizationpolicies",
        },
    ),
    *_all_of("telemetry.istio.io", ("v1", "v1alpha1"), {"Telemetry": "telemetries"}),
    *_all_of(
        "extensions.istio.io",
        ("v1alpha1",),
        {"WasmPlugin": "wasmplugins", "TrafficExtension": "trafficextensions"},
    ),
    *_all_of(GATEWAY_API, ("v1", "v1beta1"), {"GatewayClass": "gatewayclasses", "Gateway": "gateways"}),
    *_all_of(GATEWAY_API, ("v1",), {"ListenerSet": "listenersets"}),
    *_all_of(GATEWAY_API, ("v1", "v1beta1"), {"HTTPRoute": "httproutes"}),
    *_all_of(
        GATEWAY_API,
        ("v1", "v1alpha2"),
        {"GRPCRoute": "grpcroutes", "TCPRoute": "tcproutes", "UDPRoute": "udproutes"},
    ),
    *_all_of(GATEWAY_API, ("v1", "v1alpha3", "v1alpha2"), {"TLSRoute": "tlsroutes"}),
    *_all_of(GATEWAY_API, ("v1", "v1beta1", "v1alpha2"), {"ReferenceGrant": "referencegrants"}),
    *_all_of(GATEWAY_API, ("v1", "v1alpha3"), {"BackendTLSPolicy": "backendtlspolicies"}),
    *_all_of("inference.networking.k8s.io", ("v1",), {"InferencePool": "inferencepools"}),
    *_all_of(
        "gateway.networking.x-k8s.io",
        ("v1alpha1",),
        {
            "XBackend": "xbackends",
            "XBackendTrafficPolicy": "xbackendtrafficpolicies",
            "XListenerSet": "xlistenersets",
            "XMesh": "xmeshes",
        },
    ),
)
"""All of them. What is not installed is empty."""


def _definition(text: bytes | msgspec.Raw) -> Read:
    ref = named(text).metadata.ref("CustomResourceDefinition")
    return Read(ref, Resource(ref, Meta(name=ref.name), ()))


DEFINITIONS: Final = Collection(
    "CustomResourceDefinition",
    "apiextensions.k8s.io",
    ("v1",),
    "customresourcedefinitions",
    _definition,
    named_only=True,  # with their schemas they are megabytes
)
"""What is installed."""

_ELSEWHERE: Final = frozenset({"Namespace", "Node", "Service", "EndpointSlice", "Endpoints", "Pod"})

REMOTE: Final = tuple(one for one in COLLECTIONS if one.kind in _ELSEWHERE)
"""What is read of clusters other than the one that holds the settings: what runs there."""


def remote_secrets(namespace: str) -> Collection:
    """The Secrets of a namespace that say how other clusters are logged in to."""
    return Collection(
        "Secret",
        "",
        ("v1",),
        "secrets",
        _checked("Secret", reader("Secret", whole=True)),
        label_selector="istio/multiCluster=true",
        namespace=namespace,
    )
