"""A mesh of any size, made without YAML: for counting work and taking time."""

from __future__ import annotations

from collections.abc import Iterator

from pilotpy.engine import Engine, Put
from pilotpy.mesh.kinds import ENDPOINT_SLICES, SERVICES
from pilotpy.mesh.view import Inbound, Scope, Whole
from pilotpy.model.kubernetes import EndpointPort, EndpointSlice, KubeService, KubeServicePort, SliceEndpoint
from pilotpy.model.resource import Meta, Ref, Resource

NAMESPACES = 20


def crowd(services: int, endpoints: int = 10) -> Engine:
    """Services called s0, s1, ... with one HTTP port, spread over namespaces called n0, n1, ..."""
    engine = Engine()
    engine.apply(put for number in range(services) for put in _service(number, endpoints))
    return engine


def home(number: int) -> str:
    """The namespace of a service."""
    return f"n{number % NAMESPACES}"


def everything() -> Scope:
    """All of it, as a client in n0 sees it."""
    return Scope("n0", tuple(Whole(f"n{number}") for number in sorted(map(str, range(NAMESPACES)))))


def nobody() -> Inbound:
    return Inbound("n0", ())


def endpoint_slice(number: int, endpoints: int, *, first: int = 1) -> Put:
    ref = Ref("EndpointSlice", home(number), f"s{number}-x")
    addresses = (f"10.{number >> 8 & 255}.{number & 255}.{host}" for host in range(first, first + endpoints))
    spec = EndpointSlice(
        address_type="IPv4",
        endpoints=tuple(SliceEndpoint(addresses=(address,)) for address in addresses),
        ports=(EndpointPort(name="http", port=8080),),
    )
    meta = Meta(name=ref.name, namespace=ref.namespace, labels={"kubernetes.io/service-name": f"s{number}"})
    return Put(ENDPOINT_SLICES, (ref.namespace, ref.name), Resource(ref, meta, spec))


def _service(number: int, endpoints: int) -> Iterator[Put]:
    ref = Ref("Service", home(number), f"s{number}")
    spec = KubeService(
        ports=(KubeServicePort(port=80, name="http", target_port=8080),),
        selector={"app": ref.name},
        cluster_ip=f"10.96.{number >> 8 & 255}.{number & 255}",
    )
    yield Put(SERVICES, (ref.namespace, ref.name), Resource(ref, Meta(name=ref.name, namespace=ref.namespace), spec))
    yield endpoint_slice(number, endpoints)
