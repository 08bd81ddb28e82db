"""Which protocol a port speaks: Istio's protocol selection.

From a port's name, number and ``appProtocol`` to a ``Protocol``. Follows Istio's
``pkg/config/kube/conversion.go`` and ``pkg/config/protocol``.
"""

from __future__ import annotations

from typing import Final

from pilotpy.mesh.service import Protocol

_WORDS: Final = {
    "tcp": Protocol.TCP,
    "udp": Protocol.UDP,
    "grpc": Protocol.GRPC,
    "grpc-web": Protocol.GRPC_WEB,
    "http": Protocol.HTTP,
    "http_proxy": Protocol.HTTP_PROXY,
    "http2": Protocol.HTTP2,
    "https": Protocol.HTTPS,
    "tls": Protocol.TLS,
    "mongo": Protocol.MONGO,
    "redis": Protocol.REDIS,
    "mysql": Protocol.MYSQL,
}

_KUBERNETES_WORDS: Final = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.HTTPS,
}

# Servers that speak first: waiting for the client's first bytes would hang (SMTP, DNS, MySQL, MongoDB).
_NEVER_SNIFFED: Final = frozenset({25, 53, 3306, 27017})


def named_protocol(word: str) -> Protocol:
    """Return the protocol that a word names in any case, ``AUTO`` if none (ServiceEntry, Gateway, Sidecar)."""
    return _WORDS.get(word.lower(), Protocol.AUTO)


def selected_protocol(number: int, name: str, transport: str = "TCP", app_protocol: str = "") -> Protocol:
    """Return what a Kubernetes Service port speaks; ``AUTO``: it will be sniffed."""
    if transport == "UDP":
        return Protocol.UDP
    known = _KUBERNETES_WORDS.get(app_protocol)
    if known is not None:
        return known
    text = (app_protocol or name).lower()
    if text.startswith("grpc-web"):  # its own hyphen would end the word
        return Protocol.GRPC_WEB
    found = _WORDS.get(text.partition("-")[0], Protocol.AUTO)
    if found is Protocol.AUTO and number in _NEVER_SNIFFED:
        return Protocol.TCP
    return found
