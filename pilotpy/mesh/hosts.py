"""Host names: short names made whole, wildcards, and which of two hosts is the more specific.

From what users write in ``host`` and ``hosts`` to what queries compare. Follows Istio's
``pkg/config/host`` and ``model.ResolveShortnameToFQDN``.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final, NamedTuple

DOMAIN: Final = "cluster.local"
_BYTE: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}")


class KubernetesName(NamedTuple):
    """The Service that a cluster host name stands for."""

    namespace: str
    name: str


def service_host(namespace: str, name: str) -> str:
    """Return the host of a Kubernetes Service."""
    return f"{name}.{namespace}.svc.{DOMAIN}"


def kubernetes_name(host: str) -> KubernetesName | None:
    """Return the Service that a host names, or None if it is not of the cluster's domain."""
    stem = host.removesuffix(f".svc.{DOMAIN}")
    if stem is host or stem.count(".") != 1 or stem.startswith("*"):
        return None
    name, namespace = stem.split(".")
    return KubernetesName(namespace, name) if name and namespace else None


def whole(host: str, namespace: str) -> str:
    """Return a host in lower case, a short one made whole in the namespace of the object that says it.

    Names with a dot, addresses and wildcards are left as they are.
    """
    host = host.lower()
    if not host or "." in host or "*" in host or is_address(host):
        return host
    return service_host(namespace, host)


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address."""
    if ":" not in host:
        return _IPV4.fullmatch(host) is not None  # ten times as fast, and asked of every address there is
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_wildcard(host: str) -> bool:
    """Tell whether a host stands for many: ``*``, ``*.com``, ``*-v1.example.com``."""
    return host.startswith("*")


def within(host: str, pattern: str) -> bool:
    """Tell whether every host that ``host`` stands for matches ``pattern``."""
    if is_wildcard(pattern):
        return host.endswith(pattern[1:]) and len(host) >= len(pattern) - (not is_wildcard(host))
    return host == pattern


def overlaps(host: str, other: str) -> bool:
    """Tell whether one of two hosts matches the other."""
    return within(host, other) or within(other, host)


def zone(host: str) -> str:
    """Return what stands behind a host's first dot: ``*-v1.a.com`` and ``b.a.com`` give ``a.com``.

    Every wildcard that a host matches has for its zone one of the host's own zones, or "".
    """
    return host.partition(".")[2]


def zones(host: str) -> tuple[str, ...]:
    """Return all zones of a host, nearest first, ending with "": ``a.com``, ``com``, ````."""
    found = []
    while host:
        host = zone(host)
        found.append(host)
    return tuple(found)


def specificity(pattern: str) -> tuple[bool, int, str]:
    """Sort key: exact hosts first, then wildcards with the longer suffix (Istio's order)."""
    return (is_wildcard(pattern), -len(pattern), pattern)
