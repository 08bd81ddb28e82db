"""Names, labels, addresses and ports, as Istio admits them.

Source: istio/istio pkg/config/validation/agent/validation.go and pkg/config/labels/instance.go.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final

from pilotpy.model.gateway_api_names import HOSTNAME
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning

_LABEL = r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?"
_QUALIFIED = r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_DNS_LABEL = re.compile(_LABEL)
_WILDCARD_LABEL = re.compile(rf"\*|(?:\*-?)?{_LABEL}")
_LABEL_KEY = re.compile(rf"({_LABEL}(?:\.{_LABEL})*/)?({_QUALIFIED})")
_LABEL_VALUE = re.compile(rf"(?:{_QUALIFIED})?")
_PREFIX = re.compile(r"[^/]+/\d{1,3}", re.ASCII)

HTTP_PROTOCOLS: Final = frozenset({"http", "http2", "http_proxy", "grpc", "grpc-web"})
TLS_PROTOCOLS: Final = frozenset({"https", "tls"})
TCP_PROTOCOLS: Final = TLS_PROTOCOLS | {"tcp", "mongo", "redis", "mysql"}
PROTOCOLS: Final = HTTP_PROTOCOLS | TCP_PROTOCOLS | {"udp"}
"""In lower case; users may write any case."""

UNIX: Final = "unix://"

AS_LABEL: Final = "Letters, digits and dashes, at most 63, the first and last no dash: reviews-v2"
_AS_HOST: Final = "Parts of letters, digits and dashes, with dots between them: reviews.shop.svc.cluster.local"


def is_label(text: str) -> bool:
    """A DNS label (RFC 1123), capitals allowed."""
    return len(text) <= 63 and _DNS_LABEL.fullmatch(text) is not None


def is_hostname(text: str) -> bool:
    """A name in small letters, as Kubernetes has them; may begin with ``*.``."""
    return len(text) <= 253 and re.search(HOSTNAME, text) is not None


def is_address(text: str) -> bool:
    """An IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def covers(wide: str, narrow: str) -> bool:
    """Every host that `narrow` names is one that `wide` names; either may begin with a wildcard."""
    if not wide.startswith("*"):
        return wide == narrow
    if narrow.startswith("*"):
        return len(narrow) >= len(wide) and narrow.endswith(wide[1:])
    return narrow.endswith(wide[1:])


def domain(name: str, at: str) -> Problems:
    """A fully qualified or short name, without wildcards."""
    yield from _length(name, at) or _labels(name, name, at)


def wildcard_domain(name: str, at: str) -> Problems:
    """A name of which the first label may be or begin with a wildcard."""
    first, dot, rest = name.partition(".")
    if wrong := _length(name, at):
        yield from wrong
    elif len(first) > 63 or not _WILDCARD_LABEL.fullmatch(first):
        yield Problem(at, f"{name!r} is not a host name: {first!r} is not a label", _AS_HOST)
    elif dot:
        yield from _labels(rest, name, at)


def whole_wildcard(name: str, at: str) -> Problems:
    """A wildcard stands for whole labels: ``*.a.com``, not ``*a.com``."""
    if "*" in name and name != "*" and not name.startswith("*."):
        yield Problem(at, f"A wildcard stands for a whole label, unlike in {name!r}")


def namespaced_host(entry: str, at: str, *, gateway: bool) -> Problems:
    """``namespace/host``, as Sidecars and Gateways name hosts; a Gateway may leave the namespace out."""
    namespace, slash, host = entry.partition("/")
    if not slash:
        if gateway:
            yield from _listed_host(entry, at, gateway=True)
        else:
            yield Problem(at, f"{entry!r} is not of the form namespace/host", f'"*/{entry}" means any namespace')
        return
    if not namespace or not host:
        yield Problem(at, f"Neither namespace nor host may be empty in {entry!r}")
    name = namespace if gateway else namespace.removeprefix("~")
    if name not in {"*", "."} and not (name == "" and not gateway) and not is_label(name):
        yield Problem(at, f"{namespace!r} is not a namespace", AS_LABEL)
    yield from _listed_host(host, at, gateway=gateway)


def _listed_host(host: str, at: str, *, gateway: bool) -> Problems:
    if host != "*" and "." not in host:
        yield Problem(at, f"Short names such as {host!r} are not allowed here")
    if not (gateway and is_address(host)):
        yield from wildcard_domain(host, at)
    yield from whole_wildcard(host, at)


def address(text: str, at: str) -> Problems:
    """An IP address."""
    if not is_address(text):
        yield Problem(at, f"{text!r} is not an IP address", "Write it in numbers: 10.1.2.3, or fd00::1")


def subnet(text: str, at: str) -> Problems:
    """An IP address, or a range of them in CIDR notation."""
    if "/" not in text:
        yield from address(text, at)
        return
    try:
        ipaddress.ip_network(text if _PREFIX.fullmatch(text) else "", strict=False)
    except ValueError:
        yield Problem(at, f"{text!r} is not a range of addresses such as 10.0.0.0/8")


def unix_path(text: str, at: str) -> Problems:
    """What follows ``unix://``: an absolute path of a file, or an abstract name (``@...``)."""
    if not text:
        yield Problem(at, "The path of the socket is empty", "Write unix:///path/of/the/socket")
    elif not text.startswith("@") and (not text.startswith("/") or text.endswith("/")):
        yield Problem(at, f"{text!r} is not the absolute path of a file", "Write unix:///path/of/the/socket")


def host_and_port(text: str, at: str) -> Problems:
    """``host:port``, the host a name or an address (IPv6 in brackets)."""
    host, colon, number = text.rpartition(":")
    if not colon or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        yield Problem(at, f"{text!r} is not of the form host:port")
        return
    yield from port_text(number, at)
    host = host.strip("[]")
    if not is_address(host):
        yield from domain(host, at)


def port(number: int, at: str) -> Problems:
    """A port number."""
    if not 1 <= number <= 65535:
        yield Problem(at, f"Port {number} is not from 1 to 65535")


def port_text(text: str, at: str) -> Problems:
    """A port number, written as text."""
    if text.isascii() and text.isdigit() and len(text) <= 9:
        yield from port(int(text), at)
    else:
        yield Problem(at, f"{text!r} is not a port number", "Write a number from 1 to 65535")


def port_name(text: str, at: str) -> Problems:
    """The name of a port."""
    if not is_label(text):
        yield Problem(at, f"{text!r} is not a name for a port", AS_LABEL)


def protocol(text: str, at: str) -> Problems:
    """A protocol that Istio knows; none means that it is sniffed."""
    if text and text.lower() not in PROTOCOLS:
        yield Problem(at, f"{text!r} is not a protocol", f"Known are {', '.join(sorted(map(str.upper, PROTOCOLS)))}")


def labels(given: Mapping[str, str], at: str) -> Problems:
    """Labels as Kubernetes writes them."""
    for key, value in given.items():
        match = _LABEL_KEY.fullmatch(key)
        if match is None or len(match[1] or "") > 254 or len(match[2]) > 63:
            yield Problem(
                below(at, key),
                f"{key!r} is not a label's name",
                "Letters, digits, dashes, dots and underscores, at most 63; before a slash may stand a domain",
            )
        if not _LABEL_VALUE.fullmatch(value):
            yield Problem(
                below(at, key),
                f"{value!r} is not a label's value",
                "Letters, digits, dashes, dots and underscores, at most 63, the first and last a letter or digit",
            )


def gateways(names: Iterable[str], at: str) -> Problems:
    """References to Gateways: ``namespace/name``, a name of the same namespace, or "mesh"."""
    for i, name in enumerate(names):
        here = below(at, i)
        namespace, slash, own = name.partition("/")
        if slash:
            if not is_label(namespace):
                yield Problem(here, f"{namespace!r} is not a namespace", AS_LABEL)
            if not is_label(own):
                yield Problem(here, f"{own!r} is not the name of a Gateway", AS_LABEL)
            continue
        if "." in name:
            own, namespace = name.split(".")[:2]
            yield warning(here, f"{name!r} is an old way to name a Gateway", f"Prefer {namespace}/{own}")
        yield from domain(name, here)


def _length(name: str, at: str) -> list[Problem]:
    if not name:
        return [Problem(at, "A host name may not be empty")]
    if len(name) > 255:
        return [Problem(at, f"A host name has at most 255 characters, unlike {name[:40]!r}...")]
    return []


def _labels(rest: str, name: str, at: str) -> Problems:
    """The labels of a name; a dot at its end is allowed."""
    parts = rest.split(".")
    if parts[-1].lstrip("+-").isdigit():
        yield Problem(
            at, f"{name!r} is not a host name: its last label is a number", "Write a name that DNS could know"
        )
        return
    if parts[-1] == "" and len(parts) > 1:
        parts.pop()
    for part in parts:
        if not is_label(part):
            yield Problem(at, f"{name!r} is not a host name: {part!r} is not a label", _AS_HOST)
            return
