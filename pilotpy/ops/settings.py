"""What the people who run a control plane may set, under istiod's names where istiod has the setting.

Source: pilot/pkg/features (variables), pilot/cmd/pilot-discovery/app/cmd.go (addresses).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, Final, NamedTuple


class Wrong(ValueError):
    """A setting that cannot be read; the message names it."""


class Settings(NamedTuple):
    """How one control plane runs."""

    http_address: str = ":8080"
    grpc_address: str = ":15010"  # plaintext; empty: nowhere
    secure_grpc_address: str = ":15012"  # TLS, where there is an authority; empty: nowhere
    monitoring_address: str = ":15014"
    debounce_after: timedelta = timedelta(milliseconds=100)  # of quiet, before a change is compiled
    debounce_max: timedelta = timedelta(seconds=10)  # that a change may wait for quiet
    endpoint_window: timedelta = timedelta(milliseconds=100)  # in which endpoint changes are gathered
    answer_patience: timedelta = timedelta(seconds=5)  # that a type waits for the ACK of the one before it
    streams_per_second: float = 500.0  # new ones; 0: no limit
    large_pushes: int = 25  # responses above 256 KiB under way at once
    connection_age: timedelta | None = None
    shutdown: timedelta = timedelta(seconds=10)
    system_namespace: str = "istio-system"
    instance: str = "pilotpy"  # which of several replicas: its Pod
    revision: str = ""  # of this control plane, where there are several
    custom_hosts: str = ""  # more names of its certificate, separated by commas
    cluster_id: str = "Kubernetes"  # of the cluster that is watched, as its proxies call it
    remote_cluster_patience: timedelta = timedelta(seconds=30)  # that another cluster may take before others go on
    remote_cluster_objects: int = 200_000  # of a kind, that another cluster may have
    remote_cluster_bytes: int = 2**30  # of JSON, that those may have
    token_audiences: str = "istio-ca"  # noqa: S105  # of tokens that prove who one is, separated by commas; one will do
    jwt_rule: str = ""  # JSON: whose tokens prove who one is, beside those of our own issuer or cluster
    debug_namespaces: tuple[str, ...] = ()  # whose people may see every debug page
    blocked_key_networks: tuple[str, ...] = ()  # ranges that keys of token issuers are not fetched from
    watched_namespace: str = ""  # the one whose objects are watched; empty: all
    ignored_resources: tuple[str, ...] = ()  # names or "*.GROUP" of what is not watched
    included_resources: tuple[str, ...] = ()  # and of what still is
    unread: tuple[str, ...] = ()  # variables of istiod's that somebody set, and that say nothing here; sorted

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Settings:
        """The settings that environment variables name; the others as they are by default. Raises `Wrong`."""
        found: dict[str, Any] = {}
        for name, variable in _SPANS.items():
            if text := environment.get(variable):
                found[name] = span(text, variable)
        for name, variable, kind in _NUMBERS:
            if text := environment.get(variable):
                try:
                    found[name] = kind(text)
                except ValueError:
                    raise Wrong(f"{variable}: {text!r} is not a number") from None
        if text := environment.get(_BLOCKED):
            found["blocked_key_networks"] = _ranges(text)
        for name, variable in _LISTS.items():
            if text := environment.get(variable):
                found[name] = tuple(part.strip() for part in text.split(",") if part.strip())
        known = {*_SPANS.values(), *_LISTS.values(), *(variable for _, variable, _ in _NUMBERS)}
        found["unread"] = tuple(sorted(name for name in environment.keys() - known if _ISTIODS.fullmatch(name)))
        found |= {name: text for name, variable in _TEXTS.items() if (text := environment.get(variable))}
        return cls()._replace(**found)


_SPANS: Final = {
    "debounce_after": "PILOT_DEBOUNCE_AFTER",
    "debounce_max": "PILOT_DEBOUNCE_MAX",
    "endpoint_window": "PILOTPY_ENDPOINT_WINDOW",
    "answer_patience": "PILOTPY_ANSWER_PATIENCE",
    "remote_cluster_patience": "PILOT_REMOTE_CLUSTER_TIMEOUT",
}
_TEXTS: Final = {
    "system_namespace": "POD_NAMESPACE",
    "instance": "POD_NAME",
    "revision": "REVISION",
    "custom_hosts": "ISTIOD_CUSTOM_HOST",
    "jwt_rule": "JWT_RULE",
    "cluster_id": "CLUSTER_ID",
    "token_audiences": "TOKEN_AUDIENCES",
    "watched_namespace": "ISTIO_WATCH_NAMESPACE",
}
_NUMBERS: Final = (
    ("streams_per_second", "PILOT_MAX_REQUESTS_PER_SECOND", float),
    ("large_pushes", "PILOT_PUSH_THROTTLE", int),
    ("remote_cluster_objects", "PILOTPY_REMOTE_CLUSTER_OBJECTS", int),
    ("remote_cluster_bytes", "PILOTPY_REMOTE_CLUSTER_BYTES", int),
)

_LISTS: Final = {
    "debug_namespaces": "DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES",
    "ignored_resources": "PILOT_IGNORE_RESOURCES",
    "included_resources": "PILOT_INCLUDE_RESOURCES",
}
_BLOCKED: Final = "BLOCKED_CIDRS_IN_JWKS_URIS"

# Kubernetes sets some for Services, as PILOT_SERVICE_HOST for one that is called pilot.
_ISTIODS: Final = re.compile(r"PILOT_(?!(.*_)?(SERVICE_HOST|(SERVICE_)?PORT)(_|$)).+")

_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def _ranges(text: str) -> tuple[str, ...]:
    """Ranges of addresses, parted by commas. Raises `Wrong`."""
    try:
        return tuple(str(ip_network(part.strip(), strict=False)) for part in text.split(",") if part.strip())
    except ValueError:
        raise Wrong(f"{_BLOCKED}: {text!r} are not ranges of addresses") from None


def span(text: str, name: str) -> timedelta:
    """A duration as Go writes it: "100ms", "1m30s". Raises `Wrong`, which names the setting."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise Wrong(f"{name}: {text!r} is not a duration such as 100ms or 1m30s")
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
