"""From services to the outbound listeners that they need, and the route configuration that each asks for.

A listener fills a slot: an address and a port. HTTP needs no address of its own: all HTTP services of a port share the
wildcard slot and are told apart by their domains. Whatever is not HTTP, or must be sniffed, listens at the address of
its service, and shares a slot where that address is another's too, or where there is none. Where nothing is captured
every slot is the proxy's own address, and so is shared. A Sidecar may ask for several exits, each with a manner of its
own to listen and services of its own behind it.

`listeners` fills the slots, `routes` answers for the names: both read them here. Source: istiod's core/listener.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from msgspec.structs import replace

from pilotpy.engine import Asking, query
from pilotpy.mesh.addresses import is_contested
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.endpoints import endpoints
from pilotpy.mesh.hosts import is_address
from pilotpy.mesh.scopes import members, runs
from pilotpy.mesh.service import Port, Protocol, Registry, Resolution, Service, ServiceKey
from pilotpy.mesh.services import service
from pilotpy.mesh.view import Listening, Part, Parts, Scope, Selected
from pilotpy.mesh.virtual_addresses import as_seen_in

HTTP_PROXY_ROUTE: Final = "http_proxy"
UNCAPTURED: Final = "NONE"  # the mode in which nothing is captured
ANYWHERE: Final = ""  # the wildcard address, or the proxy's own if it is bound


class Manner(NamedTuple):
    """How an exit listens. A key of queries."""

    bound: bool = False  # nothing is redirected to it: whoever wants it connects to it
    bind: str = ANYWHERE  # the one address of all its listeners, if it has one
    port: int = 0  # its one port; 0: all ports of its services
    protocol: Protocol = Protocol.AUTO  # of that one port, whatever the services say
    cluster: str = ""  # as the scope's


class Exit(NamedTuple):
    """A way out of the workload: what is reached, and how. Which listeners it has, `slots` and `claims` tell."""

    scope: Scope  # with nothing in its parts but what is reached here
    manner: Manner


class Slot(NamedTuple):
    """Where a listener listens, or would if traffic were not captured."""

    address: str
    port: int
    bound: bool = False


class Slots(NamedTuple):
    """Where the ports of one service listen."""

    http: frozenset[int] = frozenset()  # ports whose wildcard slot needs routes
    shared: tuple[Slot, ...] = ()  # not (surely) HTTP, and perhaps others are there too
    own: tuple[Slot, ...] = ()  # not (surely) HTTP, and nobody else is there; each endpoint's, if it is headless
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
    own = tuple(address for address in service.addresses if is_address(address))
    # A Kubernetes service has an address per family, a ServiceEntry stands for a service per address.
    return own[:1] if service.registry is Registry.KUBERNETES else own


def ranges(service: Service) -> tuple[str, ...]:
    """The ranges of addresses (CIDR) that the service is behind; may be empty."""
    return tuple(address for address in service.addresses if not is_address(address))


def is_headless(service: Service) -> bool:
    """Whether clients address the endpoints themselves."""
    return service.resolution is Resolution.PASSTHROUGH and not service.addresses


def sniffed_route(host: str, port: int) -> str:
    """The name of the route configuration of a sniffed port that listens at an address."""
    return f"{host}:{port}"


def exits(scope: Scope, mode: str) -> tuple[Exit, ...]:
    """The exits of a scope in order. Where several have a listener or a route configuration, it is the first's."""
    if not scope.egress:
        return (Exit(scope, Manner(bound=mode == UNCAPTURED, cluster=scope.cluster)),)
    return tuple(
        Exit(
            scope._replace(parts=asked.parts, egress=()),
            Manner(mode == UNCAPTURED or not asked.captured, asked.bind, asked.port, asked.protocol, scope.cluster),
        )
        for asked in scope.egress
        if not asked.bind.startswith("unix://")
    )


def sniffed_ports(q: Asking, key: ServiceKey, only: tuple[int, ...], manner: Manner) -> tuple[Port, ...]:
    """The ports of a service whose listeners ask for `sniffed_route(host, port)`, in the service's order."""
    found = q(service, key)
    listened = _listened(found, only, manner) if found is not None else ()
    sniffed = tuple([port for port in listened if port.protocol is Protocol.AUTO])
    if not sniffed:
        return ()
    taken = q(slots, key, only, manner)
    at_address = {slot.port for slot in (*taken.own, *taken.shared) if slot.address != manner.bind}
    return tuple(port for port in sniffed if port.number in at_address)


@query
def http_proxy_port(q: Asking, listening: Listening) -> int:
    """The port of the explicit HTTP proxy, whose routes are `HTTP_PROXY_ROUTE`; 0: there is none."""
    return listening.http_proxy_port or q(mesh_config).proxy_http_port


@query
def http_ports(q: Asking, parts: tuple[Part, ...], manner: Manner) -> tuple[int, ...]:
    """The ports whose shared listener asks for routes, sorted; the route configuration's name is the port."""
    return tuple(sorted(q(claims, parts, manner).http))


@query
def claims(q: Asking, parts: tuple[Part, ...], manner: Manner) -> Claims:
    """What all services of an exit claim of the shared slots."""
    return _together(q(run_claims, run, manner) for run in q(runs, parts))


@query
def run_claims(q: Asking, run: Parts, manner: Manner) -> Claims:
    """What the services of some parts claim of the shared slots."""
    return _together(q(part_claims, part, manner) for part in run)


@query
def part_claims(q: Asking, part: Part, manner: Manner) -> Claims:
    """What the services of one part claim of the shared slots."""
    found = [(member, q(slots, member.service, member.ports, manner)) for member in q(members, part)]
    return _together(
        Claims(taken.http, tuple(Claim(slot, taken.age, member) for slot in taken.shared)) for member, taken in found
    )


@query
def slots(q: Asking, key: ServiceKey, only: tuple[int, ...], manner: Manner) -> Slots:
    """Where the ports of one service listen; nowhere if there is no such service or it is an alias."""
    found = q(service, key)
    if found is None or found.resolution is Resolution.ALIAS:
        return Slots()
    http: set[int] = set()
    shared: list[Slot] = []
    own: list[Slot] = []
    for port in _listened(found, only, manner):
        if port.protocol.is_http:
            http.add(port.number)
            continue
        for slot in _addressed(q, found, port, manner):
            is_shared = slot.address == manner.bind or q(is_contested, slot.address, manner.cluster)
            (shared if is_shared else own).append(slot)
            if slot.address == manner.bind and port.protocol is Protocol.AUTO:
                http.add(port.number)
    return Slots(frozenset(http), tuple(shared), tuple(own), found.age)


def port_of(found: Service, number: int, manner: Manner) -> Port:
    """The port of a service as an exit listens for it; the service has it."""
    return next(port for port in _listened(found, (number,), manner) if port.number == number)


def _listened(found: Service, only: tuple[int, ...], manner: Manner) -> tuple[Port, ...]:
    """The ports of a service that an exit listens for."""
    ports = offered(found.ports, only)
    if not manner.port:
        return ports
    if manner.protocol is Protocol.HTTP_PROXY:
        return (Port(manner.port, "", manner.protocol),) if ports else ()
    return tuple(replace(port, protocol=manner.protocol) for port in ports if port.number == manner.port)


def _addressed(q: Asking, found: Service, port: Port, manner: Manner) -> Iterator[Slot]:
    """The slots of a port that is not (surely) HTTP, each once."""
    if manner.bound or manner.bind != ANYWHERE:
        yield Slot(manner.bind, port.number, manner.bound)
    elif is_headless(found) and not _is_alone(q, found, port):
        known = dict.fromkeys(one.address for one in q(endpoints, found.key, port.name))
        yield from (Slot(address, port.number) for address in known if is_address(address))
    else:
        addresses = vips(as_seen_in(q, found, manner.cluster))
        yield from (Slot(address, port.number) for address in addresses)
        # A Service that has no address here has one elsewhere: what others say to its port is not meant for it.
        if ranges(found) or (not addresses and found.registry is not Registry.KUBERNETES):
            yield Slot(ANYWHERE, port.number)


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
