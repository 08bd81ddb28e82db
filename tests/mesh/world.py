"""A mesh in an engine, written as users write it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pilotpy.engine import Engine, Put, query
from pilotpy.mesh.hosts import service_host
from pilotpy.mesh.kinds import KIND_OF, MESH_CONFIG, PROXIES
from pilotpy.mesh.proxy import Proxy, proxy_from_node
from pilotpy.mesh.scopes import find, members
from pilotpy.mesh.service import ServiceKey
from pilotpy.mesh.services import EXPORT_TO, seen_by
from pilotpy.mesh.view import Scope, Selected, View
from pilotpy.mesh.views import view
from pilotpy.model.destination_rule import DestinationRule
from pilotpy.model.kubernetes import EndpointPort, EndpointSlice, KubeService, KubeServicePort, SliceEndpoint
from pilotpy.model.mesh_config import MeshConfig
from pilotpy.model.peer_authentication import MutualTLS, PeerAuthentication
from pilotpy.model.pod import Pod, PodStatus
from pilotpy.model.resource import Finding, Meta, Ref, Resource
from pilotpy.model.selector import WorkloadSelector as Labels
from pilotpy.model.service_entry import ServiceEntry, ServicePort
from pilotpy.model.sidecar import IstioEgressListener, Sidecar, WorkloadSelector
from pilotpy.model.virtual_service import Destination, HTTPRoute, HTTPRouteDestination, VirtualService
from pilotpy.schema.decode import decode_object
from pilotpy.schema.documents import documents


def resources(text: str) -> list[Resource[Any]]:
    """Return the objects in a YAML text, all of which must be flawless."""
    read = documents(text, "in.yaml")
    assert not read.findings, read.findings
    decoded = [decode_object(document.raw) for document in read.objects]
    assert not [d.findings for d in decoded if d.findings], [d.findings for d in decoded]
    return [one.resource for one in decoded if one.resource]


class World:
    """An engine with objects, and questions about them."""

    def __init__(self, *written: str | Resource[Any]) -> None:
        self.engine = Engine()
        self.put(*written)

    def put(self, *written: str | Resource[Any]) -> None:
        """Write objects, or YAML texts of some, at once."""
        objects = [o for one in written for o in (resources(one) if isinstance(one, str) else [one])]
        self.engine.apply(Put(KIND_OF[one.ref.kind], (one.ref.namespace, one.ref.name), one) for one in objects)

    def settings(self, **settings: Any) -> None:
        self.engine.apply([Put(MESH_CONFIG, ("",), MeshConfig(**settings))])

    def drop(self, kind: str, namespace: str, name: str) -> None:
        self.engine.apply([Put(KIND_OF[kind], (namespace, name), None)])

    def announce(self, node_id: str, **metadata: Any) -> str:
        proxy = proxy_from_node(node_id, metadata)
        assert isinstance(proxy, Proxy), proxy
        self.engine.apply([Put(PROXIES, (proxy.id,), proxy)])
        return proxy.id

    def view(self, pod: str, ip: str = "10.9.9.9", **metadata: Any) -> View:
        """Return what the proxy of a pod ("name.namespace") is given to see."""
        namespace = pod.partition(".")[2]
        return self.engine.ask(view, self.announce(f"sidecar~{ip}~{pod}~{namespace}.svc.cluster.local", **metadata))

    def scope(self, namespace: str) -> Scope:
        return self.view(f"client.{namespace}").scope

    def services(self, scope: Scope) -> list[Selected]:
        """Return all that a scope holds, in the order of its parts."""
        return [selected for part in scope.parts for selected in self.engine.ask(members, part)]

    def found(self, scope: Scope, host: str) -> Selected | None:
        asking = self.engine.ask
        return asking(query(lambda q: find(q, scope, host)))

    def exports(self, service: ServiceKey) -> frozenset[str]:
        return self.engine.ask(seen_by, service)

    def codes(self, query: Any, *key: Any) -> list[tuple[str, Ref | None]]:
        notes = self.engine.notes(query, *key)
        return sorted((note.code, note.ref) for note in notes if isinstance(note, Finding))


def _resource(kind: str, namespace: str, name: str, spec: Any, **meta: Any) -> Resource[Any]:
    return Resource(Ref(kind, namespace, name), Meta(name=name, namespace=namespace, **meta), spec)


def kube_service(namespace: str, name: str, *, export_to: str = "", port: int = 80) -> Resource[KubeService]:
    spec = KubeService(cluster_ip="10.0.0.1", selector={"app": name}, ports=(KubeServicePort(port=port, name="http"),))
    return _resource("Service", namespace, name, spec, annotations={EXPORT_TO: export_to} if export_to else {})


def entry(namespace: str, name: str, *hosts: str, age: int = 0, **spec: Any) -> Resource[ServiceEntry]:
    spec.setdefault("ports", (ServicePort(number=443, name="tls", protocol="TLS"),))
    created = datetime.fromtimestamp(age, UTC)
    return _resource("ServiceEntry", namespace, name, ServiceEntry(hosts=hosts, **spec), created=created)


def rule(namespace: str, name: str, host: str, *, age: int = 0, **spec: Any) -> Resource[DestinationRule]:
    created = datetime.fromtimestamp(age, UTC)
    return _resource("DestinationRule", namespace, name, DestinationRule(host=host, **spec), created=created)


def routes(namespace: str, name: str, *hosts: str, to: str = "", age: int = 0, **spec: Any) -> Resource[VirtualService]:
    there = HTTPRouteDestination(destination=Destination(host=to or hosts[0]))
    spec.setdefault("http", (HTTPRoute(route=(there,)),))
    created = datetime.fromtimestamp(age, UTC)
    return _resource("VirtualService", namespace, name, VirtualService(hosts=hosts, **spec), created=created)


def pod(namespace: str, name: str, address: str, **labels: str) -> Resource[Pod]:
    return _resource("Pod", namespace, name, Pod(status=PodStatus(pod_ip=address)), labels=labels)


def endpoint_slice(namespace: str, service: str, *addresses: str, port: int = 8080) -> Resource[EndpointSlice]:
    spec = EndpointSlice(
        address_type="IPv4",
        endpoints=tuple(SliceEndpoint(addresses=(address,)) for address in addresses),
        ports=(EndpointPort(name="http", port=port),),
    )
    return _resource("EndpointSlice", namespace, service, spec, labels={"kubernetes.io/service-name": service})


def sidecar(
    namespace: str, name: str, *hosts: str, labels: dict[str, str] | None = None, **spec: Any
) -> Resource[Sidecar]:
    if hosts:
        spec["egress"] = (IstioEgressListener(hosts=hosts),)
    chooser = WorkloadSelector(labels=labels) if labels else None
    return _resource("Sidecar", namespace, name, Sidecar(workload_selector=chooser, **spec))


def peer_authentication(
    namespace: str, name: str, mode: str = "UNSET", *, age: int = 0, ports: dict[int, str] | None = None, **labels: str
) -> Resource[PeerAuthentication]:
    """What workloads with these labels insist on; without labels, those of the whole namespace."""
    spec = PeerAuthentication(
        selector=Labels(match_labels=labels) if labels else None,
        mtls=MutualTLS(mode=mode),
        port_level_mtls={str(port): MutualTLS(mode=own) for port, own in (ports or {}).items()},
    )
    return _resource("PeerAuthentication", namespace, name, spec, created=datetime.fromtimestamp(age, UTC))


PLAINTEXT = peer_authentication("istio-system", "default", "DISABLE")
"""In whose mesh nobody speaks mutual TLS."""


def key(namespace: str, name: str) -> ServiceKey:
    return ServiceKey(namespace, service_host(namespace, name))
