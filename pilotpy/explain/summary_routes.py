"""From route tables to the rows that ``istioctl proxy-config route`` shows of them, and where each route leads.

Source: istioctl/pkg/writer/envoy/configdump/route.go for columns, words and order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pilotpy.explain.summary_clusters import written_in

# The last column is ours.
HEADER: Final = ("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE", "DESTINATION")
_SHOWN_DOMAINS: Final = 2
_SUFFIXES: Final = (".svc.cluster.local", ".svc")
_PASSED_ON: Final = "PassthroughCluster"

Plain = Mapping[str, Any]


class RouteFilter(NamedTuple):
    """Which route tables are shown."""

    name: str = ""  # of the table, whole; empty: all

    def takes(self, table: Plain) -> bool:
        """Whether a table is shown."""
        return self.name in ("", table.get("name", ""))


def in_order(tables: Iterable[Plain], wanted: RouteFilter) -> list[Plain]:
    """Return the tables that are wanted: those named by a port by its number, then the others as they come."""
    return sorted(filter(wanted.takes, tables), key=lambda table: _order(table.get("name", "")))


def rows(tables: Iterable[Plain]) -> list[tuple[object, ...]]:
    """Return a row for each route, and one that says 404 for each virtual host without; all in their order.

    Routes that pass on what nobody knows are left out.
    """
    found: list[tuple[object, ...]] = []
    for table in tables:
        for host in table.get("virtual_hosts", []):
            told = table.get("name", ""), host.get("name", ""), _domains(host.get("domains", []))
            found += [
                (*told, path_of(route.get("match", {})), written_in(route), _action(route) + _condition(route))
                for route in host.get("routes", [])
                if route.get("route", {}).get("cluster") != _PASSED_ON
            ]
            if not host.get("routes"):
                found.append((*told, "/*", "404", ""))
    return found


def path_of(match: Plain) -> str:
    """Return which paths a route takes: "/api*", "/exact", "PathPrefix:/api", "regex /v[0-9]+"."""
    for key, before, after in (("prefix", "", "*"), ("path", "", ""), ("path_separated_prefix", "PathPrefix:", "")):
        if isinstance(match.get(key), str):
            return f"{before}{match[key]}{after}"
    return f"regex {match['safe_regex'].get('regex', '')}" if "safe_regex" in match else ""


def _order(name: str) -> tuple[bool, int]:
    return not name.isdigit(), int(name) if name.isdigit() else 0


def _condition(route: Plain) -> str:
    match = route.get("match", {})
    looked_at = [header.get("name", "") for header in match.get("headers", [])]
    looked_at += [f"?{parameter.get('name', '')}" for parameter in match.get("query_parameters", [])]
    return f" by {', '.join(looked_at)}" if looked_at else ""


def _domains(domains: Sequence[str]) -> str:
    """The first two, without the ports and longer forms of a name that comes in a shorter one."""
    if len(domains) <= 1:
        return "".join(domains)
    names = [domain for domain in domains if ":" not in domain or domain.endswith("]")]
    short = [name for name in names if not any(_without(name, suffix) in names for suffix in _SUFFIXES)]
    more = len(short) - _SHOWN_DOMAINS
    return ", ".join(short[:_SHOWN_DOMAINS]) + (f" + {more} more..." if more > 0 else "")


def _without(name: str, suffix: str) -> str | None:
    return name.removesuffix(suffix) if name.endswith(suffix) else None


def _action(route: Plain) -> str:
    if "redirect" in route:
        return "redirect"
    if "direct_response" in route:
        return f"respond {route['direct_response'].get('status')}"
    action = route.get("route", {})
    if "weighted_clusters" in action:
        shares = action["weighted_clusters"].get("clusters", [])
        return ", ".join(f"{one.get('name')} ({one.get('weight', 0)})" for one in shares)
    return str(action.get("cluster") or action.get("cluster_header") or "-")
