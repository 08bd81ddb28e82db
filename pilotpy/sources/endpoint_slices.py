"""From a Service and the Pods that it selects to its EndpointSlices.

Source: kubernetes pkg/controller/endpointslice and staging/src/k8s.io/endpointslice (utils.go).
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal

from pilotpy.model.kubernetes import (
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    KubeService,
    KubeServicePort,
    ObjectReference,
    SliceEndpoint,
)
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Meta, Owner, Ref, Resource

SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"

_Family = Literal["IPv4", "IPv6"]


def endpoint_slices(
    service: Resource[KubeService], pods: Iterable[Resource[Pod]], zones: Mapping[str, str]
) -> tuple[Resource[EndpointSlice], ...]:
    """The slices of a Service: one for each address family and set of port numbers; sorted by name, may be empty.

    `pods` are those that the Service selects, in the order in which they shall stand; `zones` is
    the zone of each node that has one.
    """
    together: defaultdict[tuple[_Family, tuple[EndpointPort, ...]], list[SliceEndpoint]] = defaultdict(list)
    for pod in pods:
        if pod.spec.status.phase in {"Succeeded", "Failed"}:
            continue
        ports = tuple(_ports(service.spec, pod.spec))
        for family, address in _addresses(pod.spec):
            if family in (service.spec.ip_families or ("IPv4",)):
                together[family, ports].append(_endpoint(service, pod, address, zones))
    made = [_slice(service, family, ports, endpoints) for (family, ports), endpoints in together.items()]
    return tuple(sorted(made, key=lambda one: one.ref))


def _slice(
    service: Resource[KubeService], family: _Family, ports: tuple[EndpointPort, ...], endpoints: list[SliceEndpoint]
) -> Resource[EndpointSlice]:
    numbers = ",".join(f"{port.name}={port.port}" for port in ports)
    name = f"{service.ref.name}-{zlib.crc32(f'{family} {numbers}'.encode()):08x}"
    labels = {SERVICE_LABEL: service.ref.name, MANAGED_BY: CONTROLLER}
    if service.spec.cluster_ip == "None":
        labels["service.kubernetes.io/headless"] = ""
    return Resource(
        Ref("EndpointSlice", service.ref.namespace, name),
        Meta(
            name=name,
            namespace=service.ref.namespace,
            labels=labels,
            created=service.meta.created,
            owners=(Owner(kind="Service", name=service.ref.name, controller=True),),
            generate_name=f"{service.ref.name}-",
        ),
        EndpointSlice(address_type=family, endpoints=tuple(endpoints), ports=ports),
    )


def _endpoint(
    service: Resource[KubeService], pod: Resource[Pod], address: str, zones: Mapping[str, str]
) -> SliceEndpoint:
    running = any(one.type == "Ready" and one.status == "True" for one in pod.spec.status.conditions)
    going = pod.meta.deleted is not None
    named = pod.spec.hostname and pod.spec.subdomain == service.ref.name
    return SliceEndpoint(
        addresses=(address,),
        conditions=EndpointConditions(
            ready=service.spec.publish_not_ready_addresses or (running and not going),
            serving=running,
            terminating=going,
        ),
        hostname=pod.spec.hostname if named else None,
        target_ref=ObjectReference(kind="Pod", namespace=pod.ref.namespace, name=pod.ref.name),
        node_name=pod.spec.node_name or None,
        zone=zones.get(pod.spec.node_name),
    )


def _addresses(pod: Pod) -> list[tuple[_Family, str]]:
    every = [pod.status.pod_ip, *(one.ip for one in pod.status.pod_ips)]
    return [("IPv6" if ":" in address else "IPv4", address) for address in dict.fromkeys(every) if address]


def _ports(service: KubeService, pod: Pod) -> Iterable[EndpointPort]:
    """The ports on which a Pod serves; one that it has not got is left out."""
    for port in service.ports:
        number = _target(port, pod)
        if number:
            yield EndpointPort(name=port.name, port=number, protocol=port.protocol, app_protocol=port.app_protocol)


def _target(port: KubeServicePort, pod: Pod) -> int:
    target = port.target_port or port.port
    if isinstance(target, int):
        return target
    sidecars = (one for one in pod.init_containers if one.restart_policy == "Always")
    named = (
        one.container_port
        for container in (*pod.containers, *sidecars)
        for one in container.ports
        if one.name == target and one.protocol == port.protocol
    )
    return next(named, 0)
