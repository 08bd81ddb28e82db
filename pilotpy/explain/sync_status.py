"""From how far proxies are (``/debug/syncz`` of a control plane) to the rows that ``istioctl proxy-status`` shows.

Source: istioctl/pkg/writer/pilot/status.go for columns and words, pilot/pkg/xds/statusgen.go for what each word means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

IGNORED: Final = "IGNORED"
_CORE: Final = frozenset({"CDS", "LDS", "EDS", "RDS", "ECDS"})
_SHORT: Final = {
    "envoy.config.cluster.v3.Cluster": "CDS",
    "envoy.config.listener.v3.Listener": "LDS",
    "envoy.config.endpoint.v3.ClusterLoadAssignment": "EDS",
    "envoy.config.route.v3.RouteConfiguration": "RDS",
    "envoy.config.core.v3.TypedExtensionConfig": "ECDS",
    "envoy.extensions.transport_sockets.tls.v3.Secret": "SDS",
    "istio.networking.nds.v1.NameTable": "NDS",
    "istio.mesh.v1alpha1.ProxyConfig": "PCDS",
}
# From which age on which two units tell it, as kubectl writes ages.
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


class TypeStatus(NamedTuple):
    """How far a proxy is with one type of resources."""

    state: str  # SYNCED, STALE, NOT SENT, ERROR
    sent: datetime | None = None
    never_acknowledged: bool = False
    words: str = ""  # the proxy's, why it refused
    rejected: tuple[str, ...] = ()  # names of what it refuses now, sorted

    def text(self, now: datetime) -> str:
        """What a table says: "SYNCED (2m)"."""
        if self.state == "STALE" and self.never_acknowledged:
            return "STALE (Never Acknowledged)"
        if self.sent is None or self.state == "NOT SENT":
            return self.state
        return f"{self.state} ({age(now - self.sent)})"


class ProxyStatus(NamedTuple):
    """How far a proxy is."""

    name: str
    cluster: str
    version: str
    types: Mapping[str, TypeStatus]  # by short name, "CDS"


def proxy_status(entry: Mapping[str, Any]) -> ProxyStatus:
    """From an entry of ``/debug/syncz``."""
    types = {
        _SHORT.get(url.rpartition("/")[2], url.rpartition(".")[2]): _type_status(said)
        for url, said in entry.get("resources", {}).items()
    }
    name, cluster, version = (str(entry.get(key, "")) for key in ("proxy", "cluster_id", "istio_version"))
    return ProxyStatus(name, cluster, version, types)


def columns(statuses: Iterable[ProxyStatus]) -> tuple[str, ...]:
    """Return the types to show: Envoy's own always, others if some proxy asked for them; in the order of their URLs."""
    urls = {short: url for url, short in _SHORT.items()}
    asked = {name for status in statuses for name in status.types}
    return tuple(sorted(asked | _CORE, key=lambda name: urls.get(name, name)))


def rows(statuses: Sequence[ProxyStatus], plane: str, now: datetime) -> list[tuple[object, ...]]:
    """Return a row for each proxy, under NAME, CLUSTER, the columns, ISTIOD, VERSION; in their order."""
    shown = columns(statuses)
    return [
        (
            status.name,
            status.cluster,
            *(status.types[name].text(now) if name in status.types else IGNORED for name in shown),
            plane,
            status.version,
        )
        for status in statuses
    ]


def brief_rows(statuses: Sequence[ProxyStatus], plane: str) -> list[tuple[object, ...]]:
    """Return a row for each proxy, under NAME, CLUSTER, ISTIOD, VERSION, SUBSCRIBED TYPES; in their order."""
    shown = columns(statuses)
    found: list[tuple[object, ...]] = []
    for status in statuses:
        asked = [name for name in shown if name in status.types]
        types = f"{len(asked)} ({','.join(asked)})" if asked else "0"
        found.append((status.name, status.cluster, plane, status.version, types))
    return found


def refusals(statuses: Iterable[ProxyStatus]) -> list[str]:
    """Return a line for each type that a proxy refuses, with its own words."""
    return [
        f"{status.name} refuses {name}{' of ' if one.rejected else ''}{', '.join(one.rejected)}: {one.words}"
        for status in statuses
        for name, one in sorted(status.types.items())
        if one.words
    ]


def age(span: timedelta) -> str:
    """Return an age as kubectl writes it: "45s", "3m20s", "25m", "4h10m", "3d"; less than nothing is "0s"."""
    seconds = max(0, int(span.total_seconds()))
    minutes, hours, days = seconds // _MINUTE, seconds // _HOUR, seconds // _DAY
    steps = (
        (2 * _MINUTE, f"{seconds}s"),
        (10 * _MINUTE, _two(minutes, "m", seconds % _MINUTE, "s")),
        (3 * _HOUR, f"{minutes}m"),
        (8 * _HOUR, _two(hours, "h", minutes % 60, "m")),
        (2 * _DAY, f"{hours}h"),
        (8 * _DAY, _two(days, "d", hours % 24, "h")),
        (2 * _YEAR, f"{days}d"),
        (8 * _YEAR, _two(seconds // _YEAR, "y", days % 365, "d")),
    )
    return next((text for limit, text in steps if seconds < limit), f"{seconds // _YEAR}y")


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


def _type_status(said: Mapping[str, Any]) -> TypeStatus:
    sent, acked = said.get("sent", ""), said.get("acked", "")
    if words := said.get("lastError", ""):
        state = "ERROR"
    elif not sent:
        state = "NOT SENT"
    else:
        state = "SYNCED" if sent == acked else "STALE"
    return TypeStatus(
        state, _moment(said.get("sentTime", "")), bool(sent and not acked), words, tuple(said.get("rejected", ()))
    )


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None and moment.year > 1 else None  # istiod writes year 1 for never
