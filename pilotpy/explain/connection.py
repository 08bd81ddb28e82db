"""A connection and a request on it, as their client makes them: what Envoy sees before it decides anything."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Connection(NamedTuple):
    """A connection as a listener sees it, with the address that its client wanted to reach."""

    address: str
    port: int
    tls: bool = False
    server_name: str = ""  # SNI; of TLS only
    protocols: tuple[str, ...] = ()  # ALPN, the client's favourite first; of TLS only
    speaks: str = ""  # what a look into plaintext tells: "http/1.1", "h2c"; "": neither


class Request(NamedTuple):
    """A request for HTTP. Headers have lower-case names; the pseudo-headers are made of the other fields."""

    authority: str
    path: str = "/"  # with its query, if it has one
    method: str = "GET"
    scheme: str = "http"
    headers: Mapping[str, str] = MappingProxyType({})

    def header(self, name: str) -> str | None:
        """Return a header's value, or a pseudo-header's; None if it is not there."""
        pseudo = {":authority": self.authority, ":path": self.path, ":method": self.method, ":scheme": self.scheme}
        return pseudo[name] if name in pseudo else self.headers.get(name.lower())
