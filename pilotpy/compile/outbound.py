"""From services to the outbound listeners that they need, and the route configuration that each asks for.

A listener is a slot: an address and a port. HTTP needs no address of its own: all HTTP services of a port share the
wildcard slot and are told apart by their domains. Whatever is not HTTP, or must be sniffed, listens at the address of its
service, and shares the slot of its port where there is none. Where nothing is captured (mode NONE) all slots are shared.

`listeners` fills the slots, `routes` answers for the names: both read them here. Source: istiod's core/listener.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from pilotpy.engine import Asking, query
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.endpoints import endpoints
from pilotpy.mesh.scopes import members
from pilotpy.mesh.service import Port, Protocol, Registry, Resolution, Service, ServiceKey
from pilotpy.mesh.services import service
from pilotpy.mesh.view import Listening, Part, Selected

HTTP_PROXY_ROUTE = "http_proxy"


class Raw(NamedTuple):
    """A port of a service that is not (surely) HTTP and has no slot of its own."""

    age: tuple[float, str, str]  # of the service: the older one's chains come first
    service: Selected
    port: int


class Shared(NamedTuple):
    """What services claim of the slots that they share."""

    http: frozenset[int] = frozenset()  # ports with routes: the route configuration is named as the port
    raw: tuple[Raw, ...] = ()  # sorted; usually empty


def offered(ports: tuple[Port, ...], only: tuple[int, ...]) -> tuple[Port, ...]:
    """The ports that clients connect to over TCP, those in `only` if it names any."""
    return tuple(port for port in ports if port.protocol is not Protocol.UDP and (not only or port.number in only))


def vips(service: Service) -> tuple[str, ...]:
    """The addresses that are the service's own to listen at; empty if it must share. Never a range of addresses."""
    own = tuple(address for address in service.addresses if _is_address(address))
    # A Kubernetes service is one service with an address per family, a ServiceEntry one service per address.
    return own[:1] if service.registry is Registry.KUBERNETES else own


def ranges(service: Service) -> tuple[str, ...]:
    """The address ranges (CIDR) of the service: matched by chains in a shared slot."""
    return tuple(address for address in service.addresses if _is_range(address))


def is_headless(service: Service) -> bool:
    """Whether clients address the endpoints themselves."""
    return service.resolution is Resolution.PASSTHROUGH and not service.addresses


def sniffed_route(host: str, port: int) -> str:
    """The name of the route configuration of a sniffed port that has a slot of its own."""
    return f"{host}:{port}"


@query
def sniffed_ports(q: Asking, key: ServiceKey, only: tuple[int, ...], mode: str) -> tuple[Port, ...]:
    """The ports of a service whose listeners ask for `sniffed_route(host, port)`, in the service's order."""
    own = q(slots, key, only, mode).own
    return tuple(port for port in own if port.protocol is Protocol.AUTO)


@query
def http_proxy_port(q: Asking, listening: Listening) -> int:
    """The port of the explicit HTTP proxy, whose routes are `HTTP_PROXY_ROUTE`; 0: there is none."""
    return listening.http_proxy_port or q(mesh_config).proxy_http_port


@query
def http_ports(q: Asking, parts: tuple[Part, ...], mode: str) -> tuple[int, ...]:
    """The ports whose shared listener asks for routes, sorted; the route configuration's name is the port."""
    return tuple(sorted(q(shared, parts, mode).http))


@query
def shared(q: Asking, parts: tuple[Part, ...], mode: str) -> Shared:
    """What all services of a scope claim of the shared slots."""
    return _together(q(part_shared, part, mode) for part in parts)


@query
def part_shared(q: Asking, part: Part, mode: str) -> Shared:
    """What the services of one part claim of the shared slots."""
    claims = ((member, q(slots, member.service, member.ports, mode)) for member in q(members, part))
    return _together(
        Shared(found.http, tuple(Raw(found.age, member, port) for port in found.raw)) for member, found in claims
    )


class Slots(NamedTuple):
    """Where the ports of one service listen. A port is in exactly one of these, or nowhere."""

    http: frozenset[int] = frozenset()  # in the slot that the HTTP of all services shares
    raw: tuple[int, ...] = ()  # in a shared slot too, but not (surely) HTTP
    own: tuple[Port, ...] = ()  # at the addresses of the service, or of each of its endpoints
    age: tuple[float, str, str] = (0.0, "", "")


@query
def slots(q: Asking, key: ServiceKey, only: tuple[int, ...], mode: str) -> Slots:
    """Where the ports of one service listen; nowhere if there is no such service or it is an alias."""
    found = q(service, key)
    if found is None or found.resolution is Resolution.ALIAS:
        return Slots()
    http: set[int] = set()
    raw: list[int] = []
    own: list[Port] = []
    for port in offered(found.ports, only):
        if port.protocol.is_http:
            http.add(port.number)
        elif mode == "NONE" or _shares(q, found, port):
            raw.append(port.number)
            # A shared slot is sniffed as a whole: its routes are those of the port.
            http |= {port.number} if port.protocol is Protocol.AUTO else set()
        else:
            own.append(port)
    return Slots(frozenset(http), tuple(raw), tuple(own), found.age)


def _shares(q: Asking, found: Service, port: Port) -> bool:
    if not is_headless(found):
        return not vips(found)
    # Endpoints that come and go get slots of their own: a shared one would capture the port of everybody else whenever
    # the last one went. What can have none by its nature shares.
    from_kubernetes = found.registry is Registry.KUBERNETES
    return not from_kubernetes and not found.selector and not q(endpoints, found.key, port.name)


def _together(claims: Iterable[Shared]) -> Shared:
    http: set[int] = set()
    raw: list[Raw] = []
    for claim in claims:
        http |= claim.http
        raw += claim.raw
    return Shared(frozenset(http), tuple(sorted(raw)))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_range(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return not _is_address(text)
