"""Attributes that authorization rules may ask for, and the values that they may have.

Source: istio/istio pkg/config/security/security.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems
from pilotpy.schema.validation import names

_SEGMENT = re.compile(r"[a-zA-Z0-9\-._~%!$&'()+,;:@=]+")
_ONE, _ANY = "{*}", "{**}"
_MOST_ACCOUNTS = 16


def not_empty(listed: Sequence[str], at: str) -> Problems:
    """No value is empty."""
    for i, value in enumerate(listed):
        if not value:
            yield Problem(below(at, i), "A value may not be empty")


def addresses(listed: Sequence[str], at: str) -> Problems:
    """IP addresses, or ranges of them."""
    for i, value in enumerate(listed):
        yield from names.subnet(value, below(at, i))


def ports(listed: Sequence[str], at: str) -> Problems:
    """Port numbers as text; 0 is one."""
    for i, value in enumerate(listed):
        if not (value.isascii() and value.isdigit() and len(value) <= 9 and int(value) <= 65535):
            yield Problem(below(at, i), f"{value!r} is not a port number")


def service_accounts(listed: Sequence[str], at: str) -> Problems:
    """``account`` of the same namespace, or ``namespace/account``."""
    if len(listed) > _MOST_ACCOUNTS:
        yield Problem(at, f"There are more than {_MOST_ACCOUNTS}")
    for i, value in enumerate(listed):
        if "*" in value or len(value) > 320 or value.count("/") > 1 or "" in value.split("/"):
            yield Problem(below(at, i), f"{value[:320]!r} is not a service account, NAME or NAMESPACE/NAME")


def wildcards(listed: Sequence[str], at: str) -> Problems:
    """At most one wildcard, at an end."""
    for i, value in enumerate(listed):
        if not value:
            yield Problem(below(at, i), "A value may not be empty")
        elif value.count("*") > 1 or "*" in value[1:-1]:
            yield Problem(below(at, i), f"{value!r} may have one wildcard, first or last")


def trust_domains(listed: Sequence[str], at: str) -> Problems:
    """As `wildcards`, and no paths."""
    yield from wildcards(listed, at)
    for i, value in enumerate(listed):
        if "/" in value:
            yield Problem(below(at, i), f"{value!r} is not a trust domain")


def path_templates(listed: Sequence[str], at: str) -> Problems:
    """Paths, in which ``{*}`` stands for one segment and ``{**}``, last of these, for any."""
    for i, path in enumerate(listed):
        template = _ONE in path or _ANY in path
        any_seen = False
        for segment in path.strip("/").split("/"):
            if segment in {_ONE, _ANY}:
                if any_seen:
                    yield Problem(below(at, i), f"{{**}} is the last template of a path, unlike in {path!r}")
                any_seen = any_seen or segment == _ANY
            elif "{" in segment or "}" in segment or (template and not _SEGMENT.fullmatch(segment)):
                yield Problem(below(at, i), f"{segment!r} of {path!r} is neither text nor one of {{*}} and {{**}}")


def _anything(_listed: Sequence[str], _at: str) -> Problems:
    yield from ()


_ATTRIBUTES: Final[dict[str, Callable[[Sequence[str], str], Problems]]] = {
    "connection.sni": _anything,
    "destination.ip": addresses,
    "destination.port": ports,
    "remote.ip": addresses,
    "request.auth.audiences": _anything,
    "request.auth.presenter": _anything,
    "request.auth.principal": _anything,
    "source.ip": addresses,
    "source.namespace": _anything,
    "source.principal": _anything,
    "source.serviceAccount": service_accounts,
    "source.trustDomain": wildcards,
}
_KEYED: Final = ("request.headers", "request.auth.claims", "experimental.envoy.filters.")
_KEY = re.compile(r"[^\[]+\[.+\]", re.DOTALL)
_GONE: Final = {
    "destination.namespace": "the policy's own namespace",
    "destination.name": "a selector",
    "destination.user": "a selector",
}


def attribute(key: str, listed: Sequence[str], at: str, field: str) -> Problems:
    """Values for an attribute."""
    yield from not_empty(listed, f"{at}.{field}")
    if key.startswith(_KEYED):
        if not _KEY.fullmatch(key):
            yield Problem(f"{at}.key", f"{key!r} is not of the form name[key]")
    elif key in _ATTRIBUTES:
        yield from _ATTRIBUTES[key](listed, f"{at}.{field}")
    elif key in _GONE or key.startswith("destination.labels"):
        yield Problem(f"{at}.key", f"{key!r} is no longer an attribute", f"Use {_GONE.get(key, 'a selector')}")
    else:
        yield Problem(f"{at}.key", f"{key!r} is not an attribute")
