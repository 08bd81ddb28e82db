"""The key sets of token issuers, fetched over HTTP: from an address that a user wrote to JSON that Envoy can read.

Whoever may write a RequestAuthentication chooses where this process connects to. So every address that is dialled,
after names were resolved and after every redirect, is checked; and time, size and redirects are bounded.
Source: istio/istio pilot/pkg/model/jwks_resolver.go; RFC 9110, OpenID Connect Discovery 1.0.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterable, Sequence
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

import h11
import msgspec

from pilotpy.model.key_set import KeySource

LARGEST: Final = 1 << 20  # bytes of a body
LONGEST: Final = timedelta(seconds=60)  # that a fetch may take, whatever its rule says
_REDIRECTS: Final = 5
_CHUNK: Final = 1 << 16
_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTED: Final = frozenset({301, 302, 303, 307, 308})
_DISCOVERY: Final = "/.well-known/openid-configuration"

Network = IPv4Network | IPv6Network

# Link-local, and where clouds tell machines their secrets.
_METADATA: Final[tuple[Network, ...]] = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16",
            "fe80::/10",
            "0.0.0.0/8",  # on Linux another name of the machine itself
            "::/128",
            "100.100.100.200/32",  # Alibaba
            "192.0.0.192/32",  # Oracle
            "fd00:ec2::254/128",  # AWS
            "fd20:ce::254/128",  # Google
        ),
    )
)
_TRANSLATED: Final = ip_network("64:ff9b::/96")


class Refused(Exception):
    """Keys that were not fetched; the message says why, in words that may be shown to users."""


class Door(NamedTuple):
    """Where a process may connect to, and whom it believes."""

    blocked: tuple[Network, ...] = ()  # beside link-local and metadata addresses
    trust: ssl.SSLContext | None = None  # None: the system's roots

    def open_to(self, address: str) -> bool:
        """Whether an address may be dialled; the IPv4 address within one of IPv6 counts too."""
        parsed = ip_address(address.partition("%")[0])
        inner = _within(parsed) if isinstance(parsed, IPv6Address) else None
        shut = (*_METADATA, *self.blocked)
        return not any(
            one in network for one in (parsed, inner) if one for network in shut if one.version == network.version
        )


def _within(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that one of IPv6 leads to: mapped (RFC 4291), 6to4 (3056) or translated (6052)."""
    translated = IPv4Address(int(address) & 0xFFFFFFFF) if address in _TRANSLATED else None
    return address.ipv4_mapped or address.sixtofour or translated


async def fetched(source: KeySource, door: Door) -> str:
    """The keys of a source, as JSON. Raises `Refused`."""
    patience = min(source.timeout, LONGEST).total_seconds()
    try:
        async with asyncio.timeout(patience):
            uri = source.uri or await _discovered(source.issuer, door)
            body = await _body(uri, door)
    except TimeoutError:
        raise Refused(f"no answer within {patience:g} s") from None
    keys = _json(body)
    if not isinstance(keys.get("keys"), list):
        raise Refused("the answer is no JSON Web Key Set")
    return msgspec.json.encode(keys).decode()


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The ranges that are written, as of ``BLOCKED_CIDRS_IN_JWKS_URIS``. Raises ValueError."""
    return tuple(ip_network(text.strip(), strict=False) for text in texts if text.strip())


async def _discovered(issuer: str, door: Door) -> str:
    uri = _json(await _body(issuer.rstrip("/") + _DISCOVERY, door)).get("jwks_uri")
    if not isinstance(uri, str):
        raise Refused("the issuer's description names no jwks_uri")
    return uri


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        found = None
    if not isinstance(found, dict):
        raise Refused("the answer is no JSON object")
    return found


async def _body(uri: str, door: Door) -> bytes:
    for _ in range(_REDIRECTS + 1):
        status, headers, body = await _get(uri, door)
        if status in _REDIRECTED and (location := headers.get(b"location")):
            uri = _joined(uri, location.decode("latin-1"))
            continue
        if status != 200:
            raise Refused(f"the answer is status {status}")
        return body
    raise Refused(f"more than {_REDIRECTS} redirects")


def _joined(uri: str, location: str) -> str:
    try:
        return urljoin(uri, location)
    except ValueError:
        raise Refused("the redirect leads nowhere") from None


async def _get(uri: str, door: Door) -> tuple[int, dict[bytes, bytes], bytes]:
    parts = _split(uri)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    trust = (door.trust or ssl.create_default_context()) if parts.scheme == "https" else None
    try:
        reader, writer = await _connect(await _addresses(host, port, door), port, host, trust)
    except (OSError, UnicodeError) as why:
        raise Refused(f"no connection to {host}: {getattr(why, 'strerror', None) or type(why).__name__}") from why
    try:
        return await _exchange(reader, writer, parts)
    except UnicodeError:
        raise Refused("the address has letters that are not of ASCII") from None
    except (OSError, h11.ProtocolError) as why:
        raise Refused("the answer is not HTTP") from why
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _split(uri: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        usable = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Refused("the address is not of http or https")
    return parts


async def _addresses(host: str, port: int, door: Door) -> list[str]:
    """All addresses of a host, in order. If one of them is out of bounds so is the host."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)  # SOCK_STREAM
    addresses = [str(entry[4][0]) for entry in found]
    if not all(map(door.open_to, addresses)):
        raise Refused("its address is one that keys are not fetched from")
    return addresses


async def _connect(
    addresses: Sequence[str], port: int, host: str, trust: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the first of the addresses that takes one; the name is for the certificate only."""
    failure: OSError = OSError("no address")
    for address in addresses:
        try:
            return await asyncio.open_connection(address, port, ssl=trust, server_hostname=host if trust else None)
        except OSError as why:
            failure = why
    raise failure


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, parts: SplitResult
) -> tuple[int, dict[bytes, bytes], bytes]:
    connection = h11.Connection(h11.CLIENT)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = [("Host", parts.netloc.rpartition("@")[2]), ("Accept", "application/json"), ("Connection", "close")]
    request = h11.Request(method="GET", target=target, headers=headers)
    writer.write((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
    status, answered, body = 0, {}, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            status, answered = event.status_code, dict(event.headers)
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > LARGEST:
                raise Refused(f"the answer is larger than {LARGEST >> 20} MiB")
        elif isinstance(event, h11.EndOfMessage):
            return status, answered, bytes(body)
        elif not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("the connection ended early")
