"""A service of the mesh and its endpoints, whatever wrote them (Service, ServiceEntry, pods)."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import msgspec


class Protocol(Enum):
    """What a port speaks, once selected (Istio's protocol selection; ``AUTO`` is sniffed)."""

    __hash__ = object.__hash__  # Enum's own is Python code, and protocols are in the keys of queries

    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    HTTP_PROXY = "HTTP_PROXY"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-Web"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    UDP = "UDP"
    MONGO = "Mongo"
    REDIS = "Redis"
    MYSQL = "MySQL"
    AUTO = "UnsupportedProtocol"

    @property
    def is_http(self) -> bool:
        """Declared to be HTTP in one of its forms."""
        return self in _HTTP

    @property
    def is_http2(self) -> bool:
        """Spoken as HTTP/2 to the endpoints."""
        return self in _HTTP2

    @property
    def may_be_http(self) -> bool:
        """HTTP, or sniffed: has routes."""
        return self in _HTTP or self is Protocol.AUTO


_HTTP = {Protocol.HTTP, Protocol.HTTP2, Protocol.HTTP_PROXY, Protocol.GRPC, Protocol.GRPC_WEB}
_HTTP2 = {Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB}


class Resolution(Enum):
    """How clients find the endpoints of a service."""

    CLIENT_SIDE = "ClientSideLB"  # EDS
    DNS = "DNSLB"
    DNS_ROUND_ROBIN = "DNSRoundRobinLB"
    DYNAMIC_DNS = "DynamicDNS"
    PASSTHROUGH = "Passthrough"  # headless, ServiceEntry NONE
    ALIAS = "Alias"  # ExternalName


class Registry(Enum):
    """Who says that a service exists."""

    KUBERNETES = "Kubernetes"
    EXTERNAL = "External"  # ServiceEntry


class ServiceKey(NamedTuple):
    """Names a service inside queries. The same host may exist in several namespaces."""

    namespace: str
    host: str


class Port(msgspec.Struct, frozen=True):
    """One port of a service."""

    number: int
    name: str
    protocol: Protocol
    target: int | str = 0  # Kubernetes targetPort: a number, or a container port's name; 0: number


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service as clients see it."""

    key: ServiceKey
    name: str  # Kubernetes name; for a ServiceEntry, the host
    registry: Registry
    resolution: Resolution
    ports: tuple[Port, ...]  # as written; numbers unique
    addresses: tuple[str, ...] = ()  # VIPs and CIDRs, primary first; empty: none ("0.0.0.0")
    selector: tuple[tuple[str, str], ...] = ()  # sorted; empty: selects nothing by itself
    labels: tuple[tuple[str, str], ...] = ()  # sorted
    export_to: frozenset[str] = frozenset({"*"})  # resolved: "*", "~", namespaces (never ".")
    mesh_external: bool = False
    service_accounts: tuple[str, ...] = ()  # SPIFFE URIs or SANs that the object itself names
    alias_of: str = ""  # ExternalName target
    traffic_distribution: str = ""
    internal_traffic_local: bool = False  # internalTrafficPolicy: Local
    publish_not_ready: bool = False
    age: tuple[float, str, str] = (0.0, "", "")  # sort key, oldest first
    source: tuple[str, str, str] = ("", "", "")  # Ref of the object that it came from


class Health(Enum):
    """An endpoint's readiness, in Envoy's words."""

    __hash__ = object.__hash__  # as Protocol's, for it is looked up with each endpoint

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"


HOME = "Kubernetes"  # as istiod calls its own cluster, unless it is told its name


class Locality(NamedTuple):
    """Where something runs; empty strings where unknown."""

    region: str = ""
    zone: str = ""
    subzone: str = ""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One address behind one port of a service."""

    address: str  # IP, host name (DNS services), or unix:// path
    port: int  # where it listens; 0 for a unix path
    port_name: str  # the service port's name: EDS selects by it
    labels: tuple[tuple[str, str], ...] = ()  # sorted; subsets select by them
    service_account: str = ""  # SPIFFE URI or ""
    locality: Locality = Locality()
    network: str = ""
    cluster: str = HOME  # cluster id
    node: str = ""
    weight: int = 1
    health: Health = Health.HEALTHY
    tls_mode: str = ""  # "istio" once the workload takes mTLS; "" : plaintext
    workload: str = ""  # workload name ("reviews-v1"), for metadata
    namespace: str = ""
    hostname: str = ""  # pod hostname + subdomain, for headless names
    subdomain: str = ""
