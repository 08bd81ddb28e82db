"""From services to the outbound listeners that they need, and the route configuration that each asks for.

A listener fills a slot: an address and a port. HTTP needs no address of its own: all HTTP services of a port share the
wildcard slot and are told apart by their domains. Whatever is not HTTP, or must be sniffed, listens at the address of
its service, and shares a slot where that address is another's too, or where there is none. Where nothing is captured
(mode NONE) every slot is the proxy's own address, and so is shared.

`listeners` fills the slots, `routes` answers for the names: both read them here. Source: istiod's core/listener.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Final, NamedTuple

from pilotpy.engine import Asking, query
from pilotpy.mesh.addresses import is_contested
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.endpoints import endpoints
from pilotpy.mesh.scopes import members
from pilotpy.mesh.service import Port, Protocol, Registry, Resolution, Service, ServiceKey
from pilotpy.mesh.services import service
from pilotpy.mesh.view import Listening, Part, Selected

HTTP_PROXY_ROUTE: Final = "http_proxy"
UNCAPTURED: Final = "NONE"  # the mode in which nothing is captured
ANYWHERE: Final = ""  # the wildcard address, or where nothing is captured the proxy's own


class Slot(NamedTuple):
    """Where a listener listens, or would if traffic were not captured."""

    address: str
    port: int


class Slots(NamedTuple):
    """Where the ports of one service listen."""

    http: frozenset[int] = frozenset()  # ports whose wildcard slot needs routes
    shared: tuple[Slot, ...] = ()  # not (surely) HTTP, and perhaps others are there too
    own: tuple[Slot, ...] = ()  # not (surely) HTTP, and nobody else is there
    per_endpoint: tuple[int, ...] = ()  # ports that listen at the address of each endpoint
    age: tuple[float, str, str] = (0.0, "", "")  # the service's


class Claim(NamedTuple):
    """A service claims a shared slot for a port that is not (surely) HTTP."""

    slot: Slot
    age: tuple[float, str, str]  # of the service: the older one's connections are looked at first
    service: Selected


class Claims(NamedTuple):
    """What services claim of the slots that they share."""

    http: frozenset[int] = frozenset()  # ports whose wildcard slot needs routes, named as the port
    raw: tuple[Claim, ...] = ()  # sorted; usually empty


def offered(ports: tuple[Port, ...], only: tuple[int, ...]) -> tuple[Port, ...]:
    """The ports that clients connect to over TCP; of them those in `only`, if it names any."""
    return tuple(port for port in ports if port.protocol is not Protocol.UDP and (not only or port.number in only))


def vips(service: Service) -> tuple[str, ...]:
    """The addresses that the service listens at by itself; may be empty. Never a range of addresses."""
    own = tuple(address for address in service.addresses if _is_address(address))
    # A Kubernetes service has an address per family, a ServiceEntry stands for a service per address.
    return own[:1] if service.registry is Registry.KUBERNETES else own


def ranges(service: Service) -> tuple[str, ...]:
    """The ranges of addresses (CIDR) that the service is behind; may be empty."""
    return tuple(address for address in service.addresses if not _is_address(address))


def is_headless(service: Service) -> bool:
    """Whether clients address the endpoints themselves."""
    return service.resolution is Resolution.PASSTHROUGH and not service.addresses


def sniffed_route(host: str, port: int) -> str:
    """The name of the route configuration of a sniffed port that listens at an address."""
    return f"{host}:{port}"


@query
def sniffed_ports(q: Asking, key: ServiceKey, only: tuple[int, ...], mode: str) -> tuple[Port, ...]:
    """The ports of a service whose listeners ask for `sniffed_route(host, port)`, in the service's order."""
    found = q(service, key)
    if found is None or not any(port.protocol is Protocol.AUTO for port in found.ports):
        return ()
    taken = q(slots, key, only, mode)
    at_address = {slot.port for slot in (*taken.own, *taken.shared) if slot.address != ANYWHERE}
    numbers = at_address.union(taken.per_endpoint)
    return tuple(port for port in found.ports if port.protocol is Protocol.AUTO and port.number in numbers)


@query
def http_proxy_port(q: Asking, listening: Listening) -> int:
    """The port of the explicit HTTP proxy, whose routes are `HTTP_PROXY_ROUTE`; 0: there is none."""
    return listening.http_proxy_port or q(mesh_config).proxy_http_port


@query
def http_ports(q: Asking, parts: tuple[Part, ...], mode: str) -> tuple[int, ...]:
    """The ports whose wildcard slot asks for routes, sorted; the route configuration's name is the port."""
    return tuple(sorted(q(claims, parts, mode).http))


@query
def claims(q: Asking, parts: tuple[Part, ...], mode: str) -> Claims:
    """What all services of a scope claim of the shared slots."""
    return _together(q(part_claims, part, mode) for part in parts)


@query
def part_claims(q: Asking, part: Part, mode: str) -> Claims:
    """What the services of one part claim of the shared slots."""
    found = [(member, q(slots, member.service, member.ports, mode)) for member in q(members, part)]
    return _together(
        Claims(taken.http, tuple(Claim(slot, taken.age, member) for slot in taken.shared)) for member, taken in found
    )


@query
def slots(q: Asking, key: ServiceKey, only: tuple[int, ...], mode: str) -> Slots:
    """Where the ports of one service listen; nowhere if there is no such service or it is an alias."""
    found = q(service, key)
    if found is None or found.resolution is Resolution.ALIAS:
        return Slots()
    http: set[int] = set()
    shared: list[Slot] = []
    own: list[Slot] = []
    per_endpoint: list[int] = []
    for port in offered(found.ports, only):
        if port.protocol.is_http:
            http.add(port.number)
        elif mode != UNCAPTURED and is_headless(found) and not _is_alone(q, found, port):
            per_endpoint.append(port.number)
        else:
            for slot, is_shared in _addressed(q, found, port, mode):
                (shared if is_shared else own).append(slot)
                if slot.address == ANYWHERE and port.protocol is Protocol.AUTO:
                    http.add(port.number)
    return Slots(frozenset(http), tuple(shared), tuple(own), tuple(per_endpoint), found.age)


def _addressed(q: Asking, found: Service, port: Port, mode: str) -> Iterator[tuple[Slot, bool]]:
    """The slots of a port, and whether each is shared."""
    addresses = () if mode == UNCAPTURED else vips(found)
    for address in addresses:
        yield Slot(address, port.number), q(is_contested, address)
    if not addresses or ranges(found):
        yield Slot(ANYWHERE, port.number), True


def _is_alone(q: Asking, found: Service, port: Port) -> bool:
    """Whether a headless service can have no endpoints at all, by its nature.

    Not if it merely has none now: a wildcard slot would capture everybody's port whenever the last endpoint went.
    """
    from_kubernetes = found.registry is Registry.KUBERNETES
    return not from_kubernetes and not found.selector and not q(endpoints, found.key, port.name)


def _together(found: Iterable[Claims]) -> Claims:
    http: set[int] = set()
    raw: list[Claim] = []
    for one in found:
        http |= one.http
        raw += one.raw
    return Claims(frozenset(http), tuple(sorted(raw)))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
