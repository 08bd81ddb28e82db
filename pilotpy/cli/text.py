"""A compiled document as tables: what a person asks first, with istioctl's columns where it has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pilotpy.cli.table import table
from pilotpy.explain import summary_clusters, summary_endpoints, summary_listeners, summary_routes

Row = tuple[object, ...]


def print_document(document: Mapping[str, Any]) -> None:
    """Print each part of a document that has something in it."""
    for part, (header, rows) in _PARTS.items():
        if document.get(part):
            print(f"{part.upper().replace('_', ' ')}\n{table(header, rows(document[part]))}\n")


def finding_line(finding: Mapping[str, Any]) -> str:
    """Return one finding as one line: level, code, object, where, message, field, hint."""
    resource = finding["resource"]
    named = "/".join(part for part in (resource["namespace"], resource["name"]) if part)
    where = f" ({finding['file']}:{finding['line']})" if finding["file"] else ""
    subject = f" ({resource['kind']} {named})" if resource["kind"] else ""
    hint = f". {finding['hint']}" if finding["hint"] else ""
    # A line may hold many fields.
    field = f" ({finding['field']})" if finding["field"] and finding["field"] not in finding["message"] else ""
    return f"{finding['level']} [{finding['code']}]{subject}{where} {finding['message']}{field}{hint}"


def _names(name_table: Mapping[str, Any]) -> Iterator[Row]:
    for host, entry in sorted(name_table.get("table", {}).items()):
        yield host, ",".join(entry.get("ips", [])), entry.get("registry", ""), entry.get("namespace", "")


def _findings(findings: list[dict[str, Any]]) -> Iterator[Row]:
    for finding in findings:
        yield (finding_line(finding),)


_PARTS: dict[str, tuple[tuple[str, ...], Callable[[Any], Iterable[Row]]]] = {
    "clusters": (
        summary_clusters.HEADER,
        lambda found: summary_clusters.rows(summary_clusters.in_order(found, summary_clusters.ClusterFilter())),
    ),
    "endpoints": (summary_endpoints.ASSIGNED_HEADER, summary_endpoints.assignment_rows),
    "listeners": (
        summary_listeners.HEADER,
        lambda found: summary_listeners.rows(summary_listeners.in_order(found, summary_listeners.ListenerFilter())),
    ),
    "routes": (
        summary_routes.HEADER,
        lambda found: summary_routes.rows(summary_routes.in_order(found, summary_routes.RouteFilter())),
    ),
    "name_table": (("HOST", "ADDRESSES", "REGISTRY", "NAMESPACE"), _names),
    "findings": (("FINDING",), _findings),
}
