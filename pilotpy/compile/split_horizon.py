"""Endpoints on other networks as a client sees them: the gateways that lead there, in their place.

What goes through a gateway is told apart by the server name of its TLS, so who takes no mutual TLS cannot be reached
so. Source: istiod's ``pilot/pkg/xds/endpoints/ep_filters.go``.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from msgspec.structs import replace

from pilotpy.engine import Asking, query
from pilotpy.mesh.endpoints import endpoints
from pilotpy.mesh.hosts import is_address
from pilotpy.mesh.network_gateways import NetworkGateway, gateways_to, has_gateways, weight_scale
from pilotpy.mesh.service import Endpoint, Health, Locality, Service, ServiceKey
from pilotpy.mesh.view import Place
from pilotpy.mesh.workloads import MUTUAL, augmented
from pilotpy.model.resource import Finding, Ref, Severity

_LARGEST: Final = 2**32 - 1


def is_behind_gateways(q: Asking, key: ServiceKey, port_name: str) -> bool:
    """Whether some endpoints of a port are reached through gateways by clients of other networks."""
    return q(has_gateways) and any(q(gateways_to, *where) for where in q(whereabouts, key, port_name))


@query
def whereabouts(q: Asking, key: ServiceKey, port_name: str) -> tuple[tuple[str, str], ...]:
    """The networks, each with a cluster, that the endpoints of a port are on; sorted, without those on none."""
    return tuple(sorted({(one.network, one.cluster) for one in q(endpoints, key, port_name) if one.network}))


def as_seen(q: Asking, service: Service, found: Iterable[Endpoint], place: Place) -> list[Endpoint]:
    """The endpoints that a client reaches directly, in their order, then the gateways to all others by locality.

    Weights are larger by the same factor for all, so that each can be divided among gateways. Gateways count as
    healthy, so what is not healthy behind them adds nothing.
    """
    scale = q(weight_scale)
    direct: list[Endpoint] = []
    weights: dict[tuple[Locality, NetworkGateway], int] = {}
    unreached: set[str] = set()
    for one in found:
        weight = min(one.weight * scale, _LARGEST)
        # A client that does not say where it is goes through a gateway where there is one.
        ways = q(gateways_to, one.network, one.cluster) if one.network and one.network != place.network else ()
        if not ways:
            direct.append(replace(one, weight=weight))
            continue
        if one.tls_mode != MUTUAL:
            unreached.add(one.network)
            continue
        if one.health is not Health.HEALTHY:
            continue
        open_ways = [way for way in ways if _version(way) not in place.lacks]
        for way in open_ways:
            reached = (one.locality, way)
            weights[reached] = weights.get(reached, 0) + weight // len(open_ways)
    for network in sorted(unreached):
        q.note(_unreached(service, network))
    through = [_gateway(way, locality, weight) for (locality, way), weight in sorted(weights.items())]
    return [one for one in direct if one.address] + through


def _unreached(service: Service, network: str) -> Finding:
    return Finding(
        code="PP0309",
        severity=Severity.WARNING,
        message=f"Endpoints of {service.key.host} on network {network} that are not spoken to in mutual TLS "
        "are not reached from other networks",
        ref=Ref(*service.source),
        hint="Give them a proxy, and let no rule or policy turn mutual TLS off",
    )


def _version(way: NetworkGateway) -> int:
    return ip_address(way.address).version if is_address(way.address) else 0


def _gateway(way: NetworkGateway, locality: Locality, weight: int) -> Endpoint:
    return Endpoint(
        address=way.address,
        port=way.port,
        port_name="",
        labels=augmented({}, Locality(), network=way.network, cluster=way.cluster),
        locality=locality,
        network=way.network,
        cluster=way.cluster,
        weight=max(1, min(weight, _LARGEST)),
        tls_mode=MUTUAL,
    )
