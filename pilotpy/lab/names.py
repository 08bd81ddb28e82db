"""From Services to the hosts file of a pod: names resolve, and nobody needs to run a name server.

Pure. Source  Kubernetes ``dns/specification``: which names a Service and the Pods behind a headless one have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import NamedTuple

from pilotpy.agent.node import pod_addresses
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Resource


class Name(NamedTuple):
    """A name and where it leads; ``namespace`` is where the shortest form is known, "" for names without one."""

    namespace: str
    host: str  # without the namespace: "reviews"; with namespace "": as a whole
    address: str


def names(services: Iterable[Resource[KubeService]], pods: Iterable[Resource[Pod]]) -> tuple[Name, ...]:
    """All names that Kubernetes would resolve, sorted, each address once. Services without an address: their Pods."""
    by_namespace: dict[str, list[Resource[Pod]]] = {}
    for pod in pods:
        if pod_addresses(pod):
            by_namespace.setdefault(pod.meta.namespace, []).append(pod)
    found = set[Name]()
    for service in services:
        spec, namespace = service.spec, service.meta.namespace
        if spec.cluster_ip != "None":
            found.update(Name(namespace, service.meta.name, ip) for ip in spec.cluster_ips or (spec.cluster_ip,) if ip)
        elif spec.selector:
            for pod in by_namespace.get(namespace, ()):
                if spec.selector.items() <= pod.meta.labels.items():
                    found.update(_names_behind(service, pod))
    return tuple(sorted(found))


def hosts_file(pod: Resource[Pod], known: Iterable[Name], domain: str = "cluster.local") -> str:
    """What ``pod`` sees as /etc/hosts: itself first, its own namespace's names also in their shortest form."""
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    lines += [f"{address} {pod.spec.hostname or pod.meta.name}" for address in pod_addresses(pod)]
    lines += [f"{alias.ip} {' '.join(alias.hostnames)}" for alias in pod.spec.host_aliases]
    for name in known:
        lines.append(f"{name.address} {' '.join(_forms(name, pod.meta.namespace, domain))}")
    return "".join(f"{line}\n" for line in lines)


def _names_behind(service: Resource[KubeService], pod: Resource[Pod]) -> Iterator[Name]:
    namespace, address = service.meta.namespace, pod_addresses(pod)[0]
    yield Name(namespace, service.meta.name, address)
    if pod.spec.hostname and pod.spec.subdomain == service.meta.name:
        yield Name(namespace, f"{pod.spec.hostname}.{service.meta.name}", address)


def _forms(name: Name, namespace: str, domain: str) -> Iterator[str]:
    if not name.namespace:
        yield name.host
        return
    qualified = f"{name.host}.{name.namespace}"
    yield f"{qualified}.svc.{domain}"
    yield f"{qualified}.svc"
    yield qualified
    if name.namespace == namespace:
        yield name.host


def is_ipv4(address: str) -> bool:
    """Whether the lab's network can carry it."""
    try:
        return ip_address(address).version == 4
    except ValueError:
        return False
