"""A compiled document as tables: what a person asks first, with istioctl's columns where it has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pilotpy.cli.table import table

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


def _clusters(clusters: list[dict[str, Any]]) -> Iterator[Row]:
    for cluster in clusters:
        name = cluster["name"].split("|")
        direction, port, subset, host = name if len(name) == 4 else ("-", "-", "-", cluster["name"])
        rule = cluster.get("metadata", {}).get("filter_metadata", {}).get("istio", {}).get("config", "")
        kind = cluster.get("type") or cluster.get("cluster_type", {}).get("name", "STATIC")
        yield host or "-", port, subset or "-", direction, kind, rule.rpartition("/")[2]


def _endpoints(assignments: list[dict[str, Any]]) -> Iterator[Row]:
    for assignment in assignments:
        for locality in assignment.get("endpoints", []):
            for endpoint in locality.get("lb_endpoints", []):
                yield (
                    _address(endpoint.get("endpoint", {}).get("address", {})),
                    endpoint.get("health_status", "HEALTHY"),
                    locality.get("priority", 0),
                    assignment["cluster_name"],
                )


def _listeners(listeners: list[dict[str, Any]]) -> Iterator[Row]:
    for listener in listeners:
        address = listener.get("address", {}).get("socket_address", {})
        chains = [*listener.get("filter_chains", [])]
        if "default_filter_chain" in listener:
            chains.append({"filter_chain_match": None, **listener["default_filter_chain"]})
        for chain in chains:
            yield address.get("address", "-"), address.get("port_value", "-"), _match(chain), _destination(chain)


def _match(chain: Mapping[str, Any]) -> str:
    match = chain.get("filter_chain_match") or {}
    words = [
        f"Port: {match['destination_port']}" if "destination_port" in match else "",
        f"Trans: {match['transport_protocol']}" if "transport_protocol" in match else "",
        f"App: {','.join(match['application_protocols'])}" if "application_protocols" in match else "",
        f"SNI: {','.join(match['server_names'])}" if "server_names" in match else "",
        f"Addr: {','.join(_prefix(p) for p in match['prefix_ranges'])}" if "prefix_ranges" in match else "",
    ]
    return "; ".join(word for word in words if word) or "ALL"


def _prefix(prefix: Mapping[str, Any]) -> str:
    return f"{prefix.get('address_prefix')}/{prefix.get('prefix_len', 0)}"


def _destination(chain: Mapping[str, Any]) -> str:
    for each in chain.get("filters", []):
        config = each.get("typed_config", {})
        if "rds" in config:
            return f"Route: {config['rds']['route_config_name']}"
        if "route_config" in config:
            return f"Inline Route: {config['route_config'].get('name', '')}"
        if "weighted_clusters" in config:
            clusters = config["weighted_clusters"].get("clusters", [])
            return ", ".join(f"Cluster: {cluster['name']} ({cluster.get('weight', 0)})" for cluster in clusters)
        if "cluster" in config:
            return f"Cluster: {config['cluster']}"
    return "-"


def _routes(routes: list[dict[str, Any]]) -> Iterator[Row]:
    for table_ in routes:
        for host in table_.get("virtual_hosts", []):
            domains = host.get("domains", [])
            named = domains[0] + (f" + {len(domains) - 1} more" if len(domains) > 1 else "") if domains else "-"
            for route in host.get("routes", []):
                yield table_["name"], host["name"], named, _route_match(route.get("match", {})), _action(route)


def _route_match(match: Mapping[str, Any]) -> str:
    path = next((f"{match[key]}{mark}" for key, mark in _PATHS.items() if isinstance(match.get(key), str)), "")
    if "safe_regex" in match:
        path = f"~{match['safe_regex'].get('regex', '')}"
    conditions = [header["name"] for header in match.get("headers", [])]
    conditions += [f"?{parameter['name']}" for parameter in match.get("query_parameters", [])]
    return " ".join([path or "/*", *conditions])


def _action(route: Mapping[str, Any]) -> str:
    if "redirect" in route:
        return "redirect"
    if "direct_response" in route:
        return f"respond {route['direct_response'].get('status')}"
    action = route.get("route", {})
    if "weighted_clusters" in action:
        return ", ".join(f"{c['name']} ({c.get('weight', 0)})" for c in action["weighted_clusters"].get("clusters", []))
    return str(action.get("cluster", "-"))


def _names(name_table: Mapping[str, Any]) -> Iterator[Row]:
    for host, entry in sorted(name_table.get("table", {}).items()):
        yield host, ",".join(entry.get("ips", [])), entry.get("registry", ""), entry.get("namespace", "")


def _findings(findings: list[dict[str, Any]]) -> Iterator[Row]:
    for finding in findings:
        yield (finding_line(finding),)


def _address(address: Mapping[str, Any]) -> str:
    if "socket_address" in address:
        socket = address["socket_address"]
        return f"{socket.get('address')}:{socket.get('port_value', 0)}"
    return str(address.get("pipe", {}).get("path", "-"))


_PATHS = {"prefix": "*", "path": "", "path_separated_prefix": "/*"}
_PARTS: dict[str, tuple[tuple[str, ...], Callable[[Any], Iterator[Row]]]] = {
    "clusters": (("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"), _clusters),
    "endpoints": (("ENDPOINT", "STATUS", "PRIORITY", "CLUSTER"), _endpoints),
    "listeners": (("ADDRESS", "PORT", "MATCH", "DESTINATION"), _listeners),
    "routes": (("NAME", "VHOST NAME", "DOMAINS", "MATCH", "DESTINATION"), _routes),
    "name_table": (("HOST", "ADDRESSES", "REGISTRY", "NAMESPACE"), _names),
    "findings": (("FINDING",), _findings),
}
