"""Views: what each proxy is given to see.

From a proxy's own facts, with what the registry knows of its workload, to the facets that all
other queries are keyed by. Nothing else reads a proxy. Each facet holds what was selected for the
proxy, not why, so that replicas share all and most workloads of a namespace share much. Follows
the initialisation order of Istio's ``pilot/pkg/xds/ads.go``.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.authorization import guarding
from pilotpy.mesh.clusters import home_cluster, other_cluster
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.destination_rules import rule_selectors
from pilotpy.mesh.kinds import DESTINATION_RULES, PROXIES, SERVICES, SIDECARS
from pilotpy.mesh.mtls import auto_mutual, peer_modes
from pilotpy.mesh.network_gateways import gateway_families
from pilotpy.mesh.networks import site_called
from pilotpy.mesh.proxy import Proxy
from pilotpy.mesh.proxy_settings import own_settings
from pilotpy.mesh.routing import ROUTES_BY_SOURCE_LABEL
from pilotpy.mesh.scopes import scope
from pilotpy.mesh.service import Locality
from pilotpy.mesh.sidecars import sidecar_for
from pilotpy.mesh.targets import Behind, service_targets
from pilotpy.mesh.view import Features, Inbound, KeyFiles, Listening, Mode, Modes, Place, Scope, View
from pilotpy.mesh.workloads import Workload, augmented, labelled_locality, pod_workload, selects
from pilotpy.model.destination_rule import DestinationRule, TrafficPolicy
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.schema.codes import NOT_COMPILED
from pilotpy.schema.durations import duration

Pairs = tuple[tuple[str, str], ...]

_CAPTURE_PORTS = (15001, 15006)
_ALL_ADDRESSES = ("0.0.0.0:", "[::]:")


def _by_failover_label(rule: Resource[DestinationRule]) -> Iterable[str]:
    spec = rule.spec
    policies = (spec.traffic_policy, *(subset.traffic_policy for subset in spec.subsets))
    return {label.partition("=")[0] for policy in policies if policy for label in _priorities(policy)}


def _priorities(policy: TrafficPolicy) -> Iterable[str]:
    balancers = [policy.load_balancer, *(port.load_balancer for port in policy.port_level_settings)]
    for balancer in balancers:
        if balancer and balancer.locality_lb_setting:
            yield from balancer.locality_lb_setting.failover_priority


def _by_node_use(service: Resource[KubeService]) -> Iterable[bool]:
    wanted = (service.spec.traffic_distribution, *service.meta.annotations.values())
    return (True,) if service.spec.internal_traffic_policy == "Local" or "PreferSameNode" in wanted else ()


RULES_BY_FAILOVER_LABEL = Index(DESTINATION_RULES, _by_failover_label, "rules by label that failover looks at")
SERVICES_BY_NODE_USE = Index(SERVICES, _by_node_use, "services whose clients stay on their node")


@query
def view(q: Asking, proxy_id: str) -> View:
    """Return all facets of a proxy. Raises LookupError if no such proxy has been announced."""
    proxy = q.get(PROXIES, proxy_id)
    if proxy is None:
        raise LookupError(f"no proxy {proxy_id!r}")
    if not proxy.cluster:
        proxy = replace(proxy, cluster=q(home_cluster))
    workload = _workload(q, proxy) if proxy.type == "sidecar" else None
    locality = _locality(proxy, workload)
    labels = _labels(proxy, workload, locality)
    sidecar = sidecar_for(q, proxy.namespace, labels) if proxy.type == "sidecar" else None
    return View(
        _scope(q, proxy, labels, sidecar),
        _inbound(q, proxy, workload, labels, sidecar),
        _place(q, proxy, labels, locality, workload),
        Features(
            istio=proxy.istio,
            minor=proxy.minor,
            ipv4=proxy.ipv4,
            ipv6=proxy.ipv6,
            dns_capture=proxy.dns_capture,
            client_files=_files(proxy.client_files),
            server_files=_files(proxy.server_files),
            keyless=_is_keyless(q, proxy),
        ),
        _listening(q, proxy),
        proxy.identity,
    )


def _workload(q: Asking, proxy: Proxy) -> Workload | None:
    """Return the Pod of a proxy, which is one of its own cluster; of ours, if we know no such cluster."""
    there = other_cluster(q, proxy.cluster)
    return q(pod_workload, proxy.namespace, f"{proxy.name}@{there}" if there else proxy.name)


def _network(q: Asking, proxy: Proxy, workload: Workload | None, labels: Pairs) -> str:
    if proxy.network:
        return proxy.network
    return workload.network if workload else site_called(q, proxy.cluster).network_of(proxy.ips[0], dict(labels))


def _labels(proxy: Proxy, workload: Workload | None, locality: Locality) -> Pairs:
    """Return the labels of the pod over those that the proxy brings; all that it says if no pod is known."""
    own = (
        {**dict(proxy.static_labels), **dict(workload.labels)}
        if workload
        else dict(proxy.labels or proxy.static_labels)
    )
    return augmented(own, locality, network=proxy.network, node=proxy.node, cluster=proxy.cluster)


def _locality(proxy: Proxy, workload: Workload | None) -> Locality:
    found = workload.locality if workload else labelled_locality(dict(proxy.labels))
    return found if found and any(found) else proxy.locality


def _scope(q: Asking, proxy: Proxy, labels: Pairs, sidecar: Ref | None) -> Scope:
    selecting = tuple(ref for ref, selector in q(rule_selectors, proxy.namespace) if selects(selector, labels))
    held = tuple(label for label in labels if q.keys(ROUTES_BY_SOURCE_LABEL, label))
    found = q(scope, proxy.namespace, sidecar if _narrows(q, sidecar) else None, selecting, held)
    return found._replace(cluster=other_cluster(q, proxy.cluster))


def _inbound(q: Asking, proxy: Proxy, workload: Workload | None, labels: Pairs, sidecar: Ref | None) -> Inbound:
    told = tuple((port.name, port.container_port, port.protocol) for port in proxy.pod_ports if port.name)
    behind = Behind(proxy.namespace, proxy.ips, labels, workload.ports if workload else told, proxy.cluster)
    return Inbound(
        proxy.namespace,
        service_targets(q, behind) if proxy.type == "sidecar" else (),
        sidecar if _takes(q, sidecar) else None,
        proxy.ips[0] if proxy.interception == "NONE" or _binds(q, sidecar) else "",
        _modes(q, proxy, labels),
        guarding(q, proxy.namespace, labels) if proxy.type == "sidecar" else (),
    )


def _modes(q: Asking, proxy: Proxy, labels: Pairs) -> Modes:
    """Return what the workload insists on; a proxy that cannot end mutual TLS offers it to nobody."""
    found = peer_modes(q, proxy.namespace, labels)
    return found.without(Mode.PERMISSIVE) if proxy.keyless else found


def _is_keyless(q: Asking, proxy: Proxy) -> bool:
    if proxy.keyless and q(auto_mutual, proxy.namespace):
        q.note(
            Finding(
                code="PP0103",
                severity=Severity.WARNING,
                message=f"Proxy {proxy.id} has no certificate: it calls and is called in plaintext, and whatever "
                "insists on mutual TLS refuses it",
                hint="Start it beside an agent, or set PeerAuthentication to DISABLE where it and its peers are",
            )
        )
    return proxy.keyless


def _place(q: Asking, proxy: Proxy, labels: Pairs, locality: Locality, workload: Workload | None) -> Place:
    if proxy.network_view:
        q.note(_unlimited(proxy))
    asked = {label.partition("=")[0] for label in q(mesh_config).locality_lb_setting.failover_priority}
    node = (workload.node if workload else "") or proxy.node
    return Place(
        locality=locality,
        network=_network(q, proxy, workload, labels),
        cluster=proxy.cluster,
        node=node if q.keys(SERVICES_BY_NODE_USE, True) else "",
        labels=tuple(label for label in labels if label[0] in asked or q.keys(RULES_BY_FAILOVER_LABEL, label[0])),
        lacks=q(gateway_families) - {version for version, spoken in ((4, proxy.ipv4), (6, proxy.ipv6)) if spoken},
    )


def _unlimited(proxy: Proxy) -> Finding:
    return Finding(
        code=NOT_COMPILED,
        severity=Severity.WARNING,
        message=f"REQUESTED_NETWORK_VIEW of proxy {proxy.id} has no effect yet: it is sent endpoints of all networks",
        hint="Leave ISTIO_META_REQUESTED_NETWORK_VIEW out; or keep it, if that will do",
    )


def _listening(q: Asking, proxy: Proxy) -> Listening:
    idle = None
    if proxy.idle_timeout:
        try:
            idle = duration(proxy.idle_timeout)
        except ValueError:
            q.note(
                Finding(
                    code="PP0102",
                    severity=Severity.WARNING,
                    message=f"IDLE_TIMEOUT {proxy.idle_timeout[:40]!r} of proxy {proxy.id} is not a duration",
                    hint="Write it as Go does: 90s, 1m30s",
                )
            )
    return Listening(
        mode=proxy.interception,
        client_address=proxy.client_address,
        http_proxy_port=proxy.http_proxy_port,
        idle_timeout=idle,
        http10=proxy.http10,
        exact_balance=proxy.exact_balance,
        reserved=(*_CAPTURE_PORTS, *proxy.reserved),
        unprivileged=proxy.unprivileged,
        own=q(own_settings, proxy.proxy_config),
    )


def _files(paths: tuple[str, str, str]) -> KeyFiles | None:
    return KeyFiles(*paths) if paths[0] and paths[1] else None


def _narrows(q: Asking, sidecar: Ref | None) -> bool:
    """Tell whether a Sidecar says anything of what may be reached."""
    found = q.get(SIDECARS, sidecar.namespace, sidecar.name) if sidecar else None
    return found is not None and bool(found.spec.egress or found.spec.outbound_traffic_policy)


def _takes(q: Asking, sidecar: Ref | None) -> bool:
    """Tell whether a Sidecar says anything of what comes in."""
    found = q.get(SIDECARS, sidecar.namespace, sidecar.name) if sidecar else None
    return found is not None and bool(found.spec.ingress or found.spec.inbound_connection_pool)


def _binds(q: Asking, sidecar: Ref | None) -> bool:
    """Tell whether a Sidecar wants listeners or destinations at the workload's own address."""
    found = q.get(SIDECARS, sidecar.namespace, sidecar.name) if sidecar else None
    return found is not None and any(
        (ingress.capture_mode == "NONE" and not ingress.bind) or ingress.default_endpoint.startswith(_ALL_ADDRESSES)
        for ingress in found.spec.ingress
    )
