"""Services of the mesh, by namespace and by host.

From Kubernetes Services and ServiceEntries to ``Service``, and to who holds a host: a host may be
defined in several namespaces, a client sees one. Follows Istio's ``serviceregistry/kube`` and the
visibility rules of its push context.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any, cast

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.config import export_default, mesh_config
from pilotpy.mesh.exports import Exporting, Exports, Reach, exports, reaches, sees
from pilotpy.mesh.hosts import is_wildcard, kubernetes_name, service_host, within, zone
from pilotpy.mesh.kinds import NAMESPACES, SERVICES
from pilotpy.mesh.protocol import selected_protocol
from pilotpy.mesh.service import Port, Registry, Resolution, Service, ServiceKey
from pilotpy.mesh.service_entries import ENTRIES_BY_HOST, ENTRIES_BY_REACH, ENTRIES_BY_ZONE, entry_service, hosts_of
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.resource import Resource

EXPORT_TO = "networking.istio.io/exportTo"
_DISTRIBUTION = "networking.istio.io/traffic-distribution"


def _by_reach(service: Resource[KubeService]) -> Iterable[tuple[str, str]]:
    return reaches(_written(service), service.ref.namespace)


def _by_selector(service: Resource[KubeService]) -> Iterable[tuple[str, str, str]]:
    selector = sorted(service.spec.selector.items())
    return [(service.ref.namespace, *selector[0])] if selector else []


SERVICES_BY_REACH = Index(SERVICES, _by_reach, "services by reach")
SERVICES_BY_SELECTOR = Index(SERVICES, _by_selector, "services by namespace and first label selected")


@query
def service(q: Asking, key: ServiceKey) -> Service | None:
    """Return a service, or None. In one namespace a Kubernetes Service wins over ServiceEntries of its host."""
    name = kubernetes_name(key.host)
    if name and name.namespace == key.namespace:
        written = q.get(SERVICES, *name)
        if written is not None:
            return _from_kubernetes(q, key, written)
    return q(entry_service, key)


@query
def seen_by(q: Asking, key: ServiceKey) -> Exports:
    """Return the namespaces that see a service; empty if there is no such service."""
    found = q(service, key)
    return found.export_to if found else frozenset()


@query
def service_namespaces(q: Asking) -> tuple[str, ...]:
    """Return the namespaces that have public services, or may have, sorted."""
    buckets = cast("tuple[tuple[str, str], ...]", q.buckets(SERVICES_BY_REACH) + q.buckets(ENTRIES_BY_REACH))
    return tuple(sorted({namespace for reach, namespace in buckets if reach != Reach.NAMED.value}))


@query
def public_services(q: Asking, namespace: str) -> tuple[ServiceKey, ...]:
    """Return the services of a namespace that clients of all others see under their hosts, sorted."""
    found = {ServiceKey(namespace, service_host(namespace, name)) for name in _names(q, SERVICES_BY_REACH, namespace)}
    for name in _names(q, ENTRIES_BY_REACH, namespace):
        for host in q(hosts_of, namespace, name):
            if q(holder, host) == ServiceKey(namespace, host):
                found.add(ServiceKey(namespace, host))
    return tuple(sorted(found))


@query
def holder(q: Asking, host: str) -> ServiceKey | None:
    """Return the service that a host means to everybody who has nothing of their own under it, or None.

    A Kubernetes Service first, then the oldest of the public ServiceEntries.
    """
    return _winner(q, [key for key in q(named, host) if "*" in q(seen_by, key)])


def held_for(q: Asking, namespace: str, host: str, among: Container[str] | None = None) -> ServiceKey | None:
    """Return the service that a host means to clients of one namespace, or None. Not for use in leaves.

    Only services of the namespaces ``among`` count; None: of all.
    """
    keys = [key for key in q(named, host) if sees(namespace, q(seen_by, key))]
    if among is not None:
        keys = [key for key in keys if key.namespace in among]
    for key in keys:
        if key.namespace == namespace:
            return key
    kubernetes = [key for key in keys if _is_kubernetes(q, key)]
    named_to = [key for key in keys if "*" not in q(seen_by, key)]
    return _winner(q, kubernetes or named_to or keys)


@query
def named(q: Asking, host: str) -> tuple[ServiceKey, ...]:
    """Return the services of a host in all namespaces, whoever sees them, sorted; may be empty."""
    keys = q.keys(ENTRIES_BY_HOST, host)
    found = {ServiceKey(cast("str", key[0]), host) for key in keys}
    name = kubernetes_name(host)
    if name and q.get(SERVICES, *name) is not None:
        found.add(ServiceKey(name.namespace, host))
    return tuple(sorted(found))


@query
def restricted_services(q: Asking, namespace: str) -> tuple[ServiceKey, ...]:
    """Return the services that a namespace sees and not everybody else, sorted; may be empty."""
    default = q(export_default, Exporting.SERVICE)
    found: set[ServiceKey] = set()
    for owner, name in restricted(q, SERVICES_BY_REACH, namespace, default):
        found.add(ServiceKey(owner, service_host(owner, name)))
    for owner, name in restricted(q, ENTRIES_BY_REACH, namespace, default):
        found.update(ServiceKey(owner, host) for host in q(hosts_of, owner, name))
    return tuple(sorted(found))


def restricted(q: Asking, index: Index[Any], namespace: str, default: Sequence[str]) -> list[tuple[str, str]]:
    """Return the keys in an export index of what ``namespace`` sees and not everybody else.

    ``default`` is the mesh's ``exportTo`` for objects that say nothing.
    """
    keys = list(q.keys(index, (Reach.NAMED.value, namespace)))
    if "*" not in default and "~" not in default:
        owners = {namespace} if "." in default else set()
        if namespace in default:
            buckets = cast("tuple[tuple[str, str], ...]", q.buckets(index))
            owners |= {owner for reach, owner in buckets if reach == Reach.UNSAID.value}
        for owner in sorted(owners):
            keys += q.keys(index, (Reach.UNSAID.value, owner))
    return cast("list[tuple[str, str]]", keys)


def entries_shadowing(q: Asking, namespace: str) -> list[ServiceKey]:
    """Return the ServiceEntry services that ``namespace`` itself has and everybody sees."""
    found = []
    for name in _names(q, ENTRIES_BY_REACH, namespace):
        found += [ServiceKey(namespace, host) for host in q(hosts_of, namespace, name)]
    return found


def services_within(q: Asking, pattern: str, namespace: str) -> list[ServiceKey]:
    """Return the services whose hosts match a pattern, as a client namespace sees them, one a host."""
    if not is_wildcard(pattern):
        found = held_for(q, namespace, pattern)
        return [found] if found else []
    behind = zone(pattern)
    hosts = {key.host for key in q(restricted_services, namespace)}
    for owner in q(service_namespaces):
        if not behind or service_host(owner, "").endswith(f".{behind}"):
            hosts |= {key.host for key in q(public_services, owner)}
    for key in q.keys(ENTRIES_BY_ZONE, behind):
        hosts.update(q(hosts_of, cast("str", key[0]), cast("str", key[1])))
    found_keys = [held_for(q, namespace, host) for host in sorted(hosts) if within(host, pattern)]
    return [key for key in found_keys if key]


def _names(q: Asking, index: Index[Any], namespace: str) -> list[str]:
    """Return the names of a namespace's objects that everybody sees."""
    keys = q.keys(index, (Reach.PUBLIC.value, namespace))
    if "*" in q(export_default, Exporting.SERVICE):
        keys += q.keys(index, (Reach.UNSAID.value, namespace))
    return [cast("str", key[1]) for key in keys]


def _winner(q: Asking, keys: list[ServiceKey]) -> ServiceKey | None:
    if len(keys) < 2:
        return keys[0] if keys else None

    def precedence(key: ServiceKey) -> tuple[bool, tuple[float, str, str]]:
        found = q(service, key)
        assert found is not None, "only services have a winner"
        return (found.registry is not Registry.KUBERNETES, found.age)

    return min(keys, key=precedence)


def _is_kubernetes(q: Asking, key: ServiceKey) -> bool:
    found = q(service, key)
    return found is not None and found.registry is Registry.KUBERNETES


def _written(service: Resource[KubeService]) -> tuple[str, ...]:
    text = service.meta.annotations.get(EXPORT_TO, "")
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _from_kubernetes(q: Asking, key: ServiceKey, written: Resource[KubeService]) -> Service:
    spec, annotations = written.spec, written.meta.annotations
    headless = spec.cluster_ip == "None"
    if spec.type == "ExternalName":
        resolution = Resolution.ALIAS
    else:
        resolution = Resolution.PASSTHROUGH if headless else Resolution.CLIENT_SIDE
    vips = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    return Service(
        key=key,
        name=written.ref.name,
        registry=Registry.KUBERNETES,
        resolution=resolution,
        ports=_ports(spec),
        addresses=() if headless or resolution is Resolution.ALIAS else vips,
        selector=tuple(sorted(spec.selector.items())),
        labels=tuple(sorted(written.meta.labels.items())),
        export_to=exports(_written(written), key.namespace, q(export_default, Exporting.SERVICE)),
        service_accounts=_accounts(q, written),
        alias_of=spec.external_name.lower().rstrip(".") if resolution is Resolution.ALIAS else "",
        traffic_distribution=annotations.get(_DISTRIBUTION)
        or spec.traffic_distribution
        or q(namespace_distribution, key.namespace),
        internal_traffic_local=spec.internal_traffic_policy == "Local",
        publish_not_ready=spec.publish_not_ready_addresses,
        age=written.age_order,
        source=written.ref,
    )


def _ports(spec: KubeService) -> tuple[Port, ...]:
    """Return the ports of a Service as written, without those of UDP whose number TCP has too."""
    numbers = {port.port for port in spec.ports if port.protocol != "UDP"}
    return tuple(
        Port(
            port.port,
            port.name,
            selected_protocol(port.port, port.name, port.protocol, port.app_protocol or ""),
            port.target_port or 0,
        )
        for port in spec.ports
        if port.protocol != "UDP" or port.port not in numbers
    )


@query
def namespace_distribution(q: Asking, namespace: str) -> str:
    """Return the traffic distribution that a namespace asks for its services, or ""."""
    found = q.get(NAMESPACES, "", namespace)
    return found.meta.annotations.get(_DISTRIBUTION, "") if found else ""


@query
def trust_domain(q: Asking) -> str:
    """Return the trust domain of the mesh's own identities."""
    return q(mesh_config).trust_domain


def _accounts(q: Asking, written: Resource[KubeService]) -> tuple[str, ...]:
    """Return the identities that a Service's annotations name, as written order."""
    canonical = written.meta.annotations.get("alpha.istio.io/canonical-serviceaccounts", "")
    names = written.meta.annotations.get("alpha.istio.io/kubernetes-serviceaccounts", "")
    found = [word.strip() for word in canonical.split(",")]
    own = f"spiffe://{q(trust_domain)}/ns/{written.ref.namespace}/sa/"
    found += [own + name for name in (word.strip() for word in names.split(",")) if name]
    return tuple(word for word in dict.fromkeys(found) if word)
