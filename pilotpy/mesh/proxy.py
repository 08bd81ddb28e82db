"""A proxy as it introduces itself: node id, metadata and locality.

From what arrives in ``Node`` to typed facts, or to a finding that says what is malformed. Nothing
of the mesh is read here: what the registry knows of the workload comes in with ``view``. Follows
Istio's ``pkg/model/proxy.go`` (keys and encodings) and ``pilot/pkg/model/context.go`` (node ids).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

import msgspec

from pilotpy.mesh.service import Locality
from pilotpy.mesh.view import Identity
from pilotpy.model.resource import Finding, Severity

NEWEST: Final = 65535  # the minor version of a proxy that does not say one

_SERVED: Final = frozenset({"sidecar"})
_TYPES: Final = _SERVED | {"router", "waypoint", "ztunnel", "agentgateway"}
_VERSION: Final = re.compile(r"[1-9][0-9]*\.([0-9]+)\.[0-9]+")
_MALFORMED: Final = "PP0101"

_NOWHERE: Final = Locality()

Pairs = tuple[tuple[str, str], ...]


class PodPort(msgspec.Struct, frozen=True, rename="camel"):
    """A container port as the proxy was told it: resolves named target ports of unknown pods."""

    name: str = ""
    container_port: int = 0
    protocol: str = "TCP"


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """What a proxy says of itself. Read by ``view`` alone."""

    id: str  # the whole node id, the key of ``PROXIES``
    type: str
    ips: tuple[str, ...]  # at least one, as announced
    name: str  # of its pod
    namespace: str
    domain: str = ""
    cluster: str = ""  # "": it does not say
    labels: Pairs = ()  # sorted; where no pod is known
    static_labels: Pairs = ()  # sorted; beneath the pod's
    locality: Locality = Locality()
    network: str = ""
    network_view: str = ""  # networks, separated by commas: it wants the endpoints of these alone
    node: str = ""
    workload: str = ""
    service_account: str = ""
    istio: bool = True  # has Istio's own filters
    minor: int = NEWEST
    interception: str = "REDIRECT"
    client_address: bool = False  # the workload sees its clients' addresses under REDIRECT too
    pod_ports: tuple[PodPort, ...] = ()
    http_proxy_port: int = 0
    http10: bool = False
    idle_timeout: str = ""
    dns_capture: bool = False
    unprivileged: bool = False
    exact_balance: tuple[bool, bool] = (False, False)
    reserved: tuple[int, ...] = (15021, 15090)
    client_files: tuple[str, str, str] = ("", "", "")  # chain, key, roots: paths of a certificate for calls
    server_files: tuple[str, str, str] = ("", "", "")  # and of one for what comes in
    proxy_config: str = ""  # JSON, canonical; "" if none was sent
    keyless: bool = False  # nobody hands its Envoy a certificate
    identity: Identity | None = None  # what it proved to be; all else it merely says

    @property
    def ipv4(self) -> bool:
        """Has an IPv4 address."""
        return any(not isinstance(ip_address(ip), IPv6Address) for ip in self.ips)

    @property
    def ipv6(self) -> bool:
        """Has an IPv6 address."""
        return any(isinstance(ip_address(ip), IPv6Address) for ip in self.ips)


def proxy_from_node(
    node_id: str,
    metadata: Mapping[str, Any],
    locality: Locality = _NOWHERE,
    extensions: tuple[str, ...] | None = None,
    identity: Identity | None = None,
) -> Proxy | Finding:
    """Return the facts of a node, or what is malformed about them.

    ``extensions`` are the names in ``node.extensions``: they tell whether this Envoy has Istio's
    filters; None or empty (they were not sent) leaves it to an ``ISTIO_VERSION`` in the metadata.
    ``identity`` is the one thing that the node has proved rather than said.
    """
    parts = node_id.split("~")
    if len(parts) != 4:
        return _malformed(f"node id {node_id[:200]!r} is not of the form type~ip~pod.namespace~domain")
    kind, ip, name, domain = parts
    if kind not in _TYPES:
        return _malformed(f"node id {node_id[:200]!r} is of an unknown type {kind!r}")
    if kind not in _SERVED:
        # What a sidecar is given would open a gateway to everybody: nothing is better.
        return _malformed(f"node id {node_id[:200]!r} is of type {kind!r}, and only sidecars are served yet")
    try:
        said = _Said(metadata)
        ips = said.addresses("INSTANCE_IPS") or _addresses((ip,))
        if not ips:
            return _malformed(f"node id {node_id[:200]!r} has no valid address, and INSTANCE_IPS none")
        pod, _, pod_namespace = name.rpartition(".")
        return Proxy(
            id=node_id,
            type=kind,
            ips=ips,
            name=pod or name,
            namespace=said.text("NAMESPACE") or domain.partition(".")[0] or pod_namespace,
            domain=domain,
            cluster=said.text("CLUSTER_ID"),
            labels=said.labels("LABELS"),
            static_labels=said.labels("STATIC_LABELS"),
            locality=locality,
            network=said.text("NETWORK"),
            network_view=said.text("REQUESTED_NETWORK_VIEW"),
            node=said.text("NODE_NAME"),
            workload=said.text("WORKLOAD_NAME"),
            service_account=said.text("SERVICE_ACCOUNT"),
            istio=_has_istio_filters(extensions) if extensions else bool(said.text("ISTIO_VERSION")),
            minor=_minor(said.text("ISTIO_VERSION")),
            interception=said.one_of("INTERCEPTION_MODE", ("REDIRECT", "TPROXY", "NONE")),
            client_address=said.flag("PRESERVE_CLIENT_ADDRESS"),
            pod_ports=said.pod_ports(),
            http_proxy_port=said.port("HTTP_PROXY_PORT"),
            http10=said.text("HTTP10") == "1",
            idle_timeout=said.text("IDLE_TIMEOUT"),
            dns_capture=said.flag("DNS_CAPTURE"),
            unprivileged=said.flag("UNPRIVILEGED_POD"),
            exact_balance=(said.flag("INBOUND_LISTENER_EXACT_BALANCE"), said.flag("OUTBOUND_LISTENER_EXACT_BALANCE")),
            reserved=(said.port("ENVOY_STATUS_PORT") or 15021, said.port("ENVOY_PROMETHEUS_PORT") or 15090),
            client_files=said.files("TLS_CLIENT"),
            server_files=said.files("TLS_SERVER"),
            proxy_config=said.json("PROXY_CONFIG"),
            keyless=said.flag("KEYLESS"),
            identity=identity,
        )
    except _Malformed as wrong:
        return _malformed(f"metadata of node {node_id[:200]!r}: {wrong}")


def _has_istio_filters(extensions: tuple[str, ...]) -> bool:
    return "istio.stats" in extensions or "istio_authn" in extensions or "istio.alpn" in extensions


def _minor(version: str) -> int:
    found = _VERSION.match(version.removeprefix("release-"))
    return int(found[1]) if found else NEWEST


def _addresses(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the addresses if all are valid, else none (as istiod: all or nothing)."""
    try:
        return tuple(str(ip_address(text.strip())) for text in texts)
    except ValueError:
        return ()


def _malformed(message: str) -> Finding:
    hint = "A proxy of Istio, or an Envoy whose node.id and node.metadata are written as Istio's are, can be served"
    return Finding(code=_MALFORMED, severity=Severity.ERROR, message=message, hint=hint)


class _Malformed(Exception):
    """A metadata value that does not decode."""


class _Said:
    """Reads metadata in Istio's encodings: everything may come as a string."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._metadata = metadata

    def text(self, key: str) -> str:
        value = self._metadata.get(key)
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float) and value.is_integer():
            return str(int(value))  # protobuf's Struct knows no integers
        if isinstance(value, str | int | float):
            return str(value)
        raise _Malformed(f"{key} is not a string")

    def flag(self, key: str) -> bool:
        return self.text(key).lower() in {"true", "1", "t"}

    def port(self, key: str) -> int:
        text = self.text(key)
        if not text:
            return 0
        if not text.isascii() or not text.isdigit() or int(text) > 65535:
            raise _Malformed(f"{key} {text[:40]!r} is not a port")
        return int(text)

    def files(self, prefix: str) -> tuple[str, str, str]:
        return (
            self.text(f"{prefix}_CERT_CHAIN"),
            self.text(f"{prefix}_KEY"),
            self.text(f"{prefix}_ROOT_CERT"),
        )

    def one_of(self, key: str, known: tuple[str, ...]) -> str:
        """Return a known word, the first of them where nothing or something else is said."""
        text = self.text(key)
        return text if text in known else known[0]

    def addresses(self, key: str) -> tuple[str, ...]:
        text = self.text(key)
        return _addresses(tuple(text.split(","))) if text else ()

    def labels(self, key: str) -> Pairs:
        value = self._opened(key)
        if value is None:
            return ()
        if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
            raise _Malformed(f"{key} does not map names to strings")
        return tuple(sorted(value.items()))

    def pod_ports(self) -> tuple[PodPort, ...]:
        value = self._opened("POD_PORTS")
        try:
            return msgspec.convert(value or (), tuple[PodPort, ...], strict=False)
        except msgspec.ValidationError as wrong:
            raise _Malformed(f"POD_PORTS: {wrong}") from None

    def json(self, key: str) -> str:
        value = self._opened(key)
        if value is None:
            return ""
        if not isinstance(value, Mapping):
            raise _Malformed(f"{key} is not an object")
        return msgspec.json.encode(value, order="sorted").decode()

    def _opened(self, key: str) -> Any:
        value = self._metadata.get(key)
        if not isinstance(value, str) or not value:
            return value or None
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError as wrong:
            raise _Malformed(f"{key} is not JSON: {wrong}") from None
