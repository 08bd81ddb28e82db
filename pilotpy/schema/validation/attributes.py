"""Attributes that authorization rules may ask for, and the values that they may have.

Source: istio/istio pkg/config/security/security.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
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
            yield Problem(below(at, i), f"{value!r} is not a port number", "Write a number from 1 to 65535")


def service_accounts(listed: Sequence[str], at: str) -> Problems:
    """``account`` of the same namespace, or ``namespace/account``."""
    if len(listed) > _MOST_ACCOUNTS:
        yield Problem(at, f"There are more than {_MOST_ACCOUNTS}")
    for i, value in enumerate(listed):
        if "*" in value or len(value) > 320 or value.count("/") > 1 or "" in value.split("/"):
            yield Problem(
                below(at, i),
                f"{value[:320]!r} is not a service account, NAME or NAMESPACE/NAME",
                "Write one of these forms",
            )


def wildcards(listed: Sequence[str], at: str) -> Problems:
    """At most one wildcard, at an end."""
    for i, value in enumerate(listed):
        if not value:
            yield Problem(below(at, i), "A value may not be empty")
        elif value.count("*") > 1 or "*" in value[1:-1]:
            yield Problem(below(at, i), f"{value!r} may have one wildcard, first or last")


def texts(listed: Sequence[str], at: str) -> Problems:
    """Texts, in which a star counts first or last; elsewhere it stands for itself, which few mean."""
    for i, value in enumerate(listed):
        yield from _literal_star(value, below(at, i), "List what is meant one by one")


def _literal_star(value: str, at: str, hint: str) -> Problems:
    first, last = value.startswith("*"), value.endswith("*") and len(value) > 1
    if "*" not in value[1:-1] and not (first and last):
        return
    if first:
        matched = f"what ends with {value[1:]!r}"
    else:
        matched = f"what begins with {value[:-1]!r}" if last else f"{value!r} itself"
    yield warning(at, f"One star counts, first or last; any other stands for itself: {value!r} is {matched}", hint)


def trust_domains(listed: Sequence[str], at: str) -> Problems:
    """As `wildcards`, and no paths."""
    yield from wildcards(listed, at)
    for i, value in enumerate(listed):
        if "/" in value:
            yield Problem(below(at, i), f"{value!r} is not a trust domain", "Write it as a host name: cluster.local")


def path_templates(listed: Sequence[str], at: str) -> Problems:
    """Paths, in which ``{*}`` stands for one segment and ``{**}``, last of these, for any."""
    for i, path in enumerate(listed):
        template = _ONE in path or _ANY in path
        if not template:
            hint = f"List the paths, or use a path template: {{*}} is one whole segment, as in {_as_template(path)}"
            yield from _literal_star(path, below(at, i), hint)
        any_seen = False
        for segment in path.strip("/").split("/"):
            if segment in {_ONE, _ANY}:
                if any_seen:
                    yield Problem(below(at, i), f"{{**}} is the last template of a path, unlike in {path!r}")
                any_seen = any_seen or segment == _ANY
            elif "{" in segment or "}" in segment or (template and not _SEGMENT.fullmatch(segment)):
                yield Problem(below(at, i), f"{segment!r} of {path!r} is neither text nor one of {{*}} and {{**}}")


def _as_template(path: str) -> str:
    """The path template that comes closest to a path with stars in it."""
    whole = path.strip("*").split("/")
    return "/".join(_ONE if "*" in segment else segment for segment in whole)


_ATTRIBUTES: Final[dict[str, Callable[[Sequence[str], str], Problems]]] = {
    "connection.sni": texts,
    "destination.ip": addresses,
    "destination.port": ports,
    "remote.ip": addresses,
    "request.auth.audiences": texts,
    "request.auth.presenter": texts,
    "request.auth.principal": texts,
    "source.ip": addresses,
    "source.namespace": not_empty,
    "source.principal": texts,
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
        yield from texts(listed, f"{at}.{field}")
    elif key in _ATTRIBUTES:
        yield from _ATTRIBUTES[key](listed, f"{at}.{field}")
    elif key in _GONE or key.startswith("destination.labels"):
        yield Problem(f"{at}.key", f"{key!r} is no longer an attribute", f"Use {_GONE.get(key, 'a selector')}")
    else:
        yield Problem(
            f"{at}.key",
            f"{key!r} is not an attribute",
            "Write one that Istio has: source.ip, request.headers[x-id], ...",
        )
