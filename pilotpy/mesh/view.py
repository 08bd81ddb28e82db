"""What a proxy is given to see: facets, each keyed by what was selected for it.

``view(proxy)`` is the only query that reads a proxy's facts. Two proxies with equal facets share
every answer. All of these are keys of queries: small, hashable, compared by value.
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import NamedTuple

from pilotpy.mesh.service import HOME, Locality, Protocol, ServiceKey
from pilotpy.model.resource import Ref


class KeyFiles(NamedTuple):
    """A certificate that a proxy has in its own files, and so does not ask its agent for. Paths."""

    chain: str
    key: str
    roots: str  # "": the agent's


class Features(NamedTuple):
    """What the Envoy at the other end can do and how it was started."""

    istio: bool = True  # has Istio's own filters
    minor: int = 65535  # Istio 1.<minor>; 65535: unknown, newest
    ipv4: bool = True
    ipv6: bool = False
    dns_capture: bool = False  # uses auto-allocated addresses
    client_files: KeyFiles | None = None  # as a client of the mesh
    server_files: KeyFiles | None = None  # as a server
    keyless: bool = False  # nobody hands it a certificate: it cannot speak mutual TLS


class Selected(NamedTuple):
    """A service that a client may use, with the policies chosen for this client."""

    service: ServiceKey
    rules: tuple[Ref, ...]  # DestinationRules in force, oldest first; may be empty
    routes: tuple[Ref, ...]  # VirtualServices in force, most important first; may be empty
    ports: tuple[int, ...] = ()  # only these ports; empty: all


class Whole(NamedTuple):
    """Every public service of a namespace with its base policies, but for some. Shared by clients."""

    namespace: str
    without: tuple[ServiceKey, ...] = ()  # sorted; these are elsewhere in the scope, or hidden


class Chosen(NamedTuple):
    """Services of a namespace picked one by one."""

    namespace: str
    services: tuple[Selected, ...]  # sorted by service


Part = Whole | Chosen
Parts = tuple[Part, ...]


class Fallback(NamedTuple):
    """Where traffic to unknown destinations goes."""

    allow_any: bool = True
    egress_proxy: str = ""  # cluster name of the egress proxy, or ""


class Egress(NamedTuple):
    """An outbound listener that a Sidecar asks for, and what is reached through it."""

    port: int  # 0: wherever its services listen, on what no other listener has taken
    protocol: Protocol = Protocol.AUTO
    bind: str = ""  # an address, or unix://path; "": as without a Sidecar
    captured: bool = True  # False: it is bound to, nothing is redirected to it
    parts: tuple[Part, ...] = ()  # as in the scope

    @property
    def is_plain(self) -> bool:
        """As the one listener of a proxy without a Sidecar."""
        return not self.port and not self.bind and self.captured


class Scope(NamedTuple):
    """The outbound facet: all that a client may reach, as shared parts and small overrides."""

    namespace: str  # the client's own: decides short names
    parts: tuple[Part, ...]  # sorted by namespace, a Whole before a Chosen; no host occurs twice in them
    loose: tuple[Ref, ...] = ()  # VirtualServices (whole or partly) for hosts of no known service
    fallback: Fallback = Fallback()
    held: tuple[tuple[str, str], ...] = ()  # the client's labels, only pairs that some sourceLabels name; sorted
    egress: tuple[Egress, ...] = ()  # a Sidecar's listeners in order; empty: one for all the parts
    cluster: str = ""  # whose virtual addresses it knows services by; "": those of the home cluster


class Place(NamedTuple):
    """The endpoint facet: where the client runs."""

    locality: Locality = Locality()
    network: str = ""
    cluster: str = HOME
    node: str = ""
    labels: tuple[tuple[str, str], ...] = ()  # only those that a failoverPriority names
    lacks: frozenset[int] = frozenset()  # of the IP versions of gateways between networks, those it does not speak


class Target(NamedTuple):
    """One inbound port: the service port that a workload's own port serves."""

    service: ServiceKey
    port: int  # the service's number
    target: int  # the workload's number
    besides: tuple[ServiceKey, ...] = ()  # younger services whose port of the same number leads there too


class Mode(Enum):
    """How much a workload's port insists on mutual TLS."""

    DISABLE = "DISABLE"  # takes plaintext alone
    PERMISSIVE = "PERMISSIVE"  # takes both
    STRICT = "STRICT"  # takes mutual TLS alone


class Modes(NamedTuple):
    """The modes of one workload's ports."""

    mode: Mode = Mode.PERMISSIVE
    ports: tuple[tuple[int, Mode], ...] = ()  # of the workload's own ports that have one of their own; sorted

    def on(self, port: int) -> Mode:
        """Return the mode of one of the workload's own ports."""
        return next((mode for number, mode in self.ports if number == port), self.mode)

    def without(self, mode: Mode) -> Modes:
        """Return modes with DISABLE in place of one."""
        ports = ((number, Mode.DISABLE if own is mode else own) for number, own in self.ports)
        return Modes(Mode.DISABLE if self.mode is mode else self.mode, tuple(ports))


class Inbound(NamedTuple):
    """The inbound facet: the ports of the workload behind the proxy."""

    namespace: str
    targets: tuple[Target, ...]  # one per workload port: the oldest service's; sorted by target
    sidecar: Ref | None = None  # the Sidecar whose ingress applies
    address: str = ""  # own IP, only where listeners bind to it
    modes: Modes = Modes()
    policies: tuple[Ref, ...] = ()  # those that authenticate requests and authorize; of each kind, oldest first

    @property
    def unguarded(self) -> Inbound:
        """The ports by themselves: all that clusters are made of."""
        return self._replace(modes=Modes(), policies=())


class Listening(NamedTuple):
    """How the proxy's listeners are reached."""

    mode: str = "REDIRECT"  # REDIRECT, TPROXY, NONE
    client_address: bool = False  # the workload sees its clients' addresses under REDIRECT too
    http_proxy_port: int = 0
    idle_timeout: timedelta | None = None  # of connections, from metadata; None: Envoy's own
    http10: bool = False
    exact_balance: tuple[bool, bool] = (False, False)  # inbound, outbound
    reserved: tuple[int, ...] = (15001, 15006, 15021, 15090)  # ports no listener may take
    unprivileged: bool = False
    own: str = ""  # settings that it was started with (`proxy_settings`); "": the mesh's


class Identity(NamedTuple):
    """Who a proxy has proved to be, whatever it says of itself."""

    namespace: str
    service_account: str
    cluster: str = ""  # that it is of, where it has proved or says so; not all clusters allow an account the same


class View(NamedTuple):
    """All facets of one proxy."""

    scope: Scope
    inbound: Inbound
    place: Place
    features: Features
    listening: Listening
    identity: Identity | None = None  # None: it came in plaintext, and proved nothing
