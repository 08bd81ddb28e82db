"""Header changes: ``Headers`` of a rule or a destination to the additions and removals of Envoy's routes.

``set`` comes before ``add``, each sorted by name; what a destination says comes after what its rule says. The authority
is no header to Envoy: it is rewritten (``rewrites``). Source: Envoy ``config/core/v3/base.proto``,
``HeaderValueOption``; Istio ``Headers``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pilotpy.compile.header_text import unfit_format, unfit_name
from pilotpy.compile.route_site import Site
from pilotpy.model.virtual_service import HeaderOperations, Headers, HTTPRoute
from pilotpy_protos.envoy.config.core.v3.base_pb2 import HeaderValueOption
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import Route, WeightedCluster

_HINT: Final = "Use a name and a value that Envoy takes; %% stands for a percent sign"
_NOTHING: Final = HeaderOperations()


def write(route: Route, rule: HTTPRoute, site: Site) -> None:
    """Change the headers of all requests and responses of the rule."""
    add_to(route, rule.headers, site, "headers")


def add_to(route: Route | WeightedCluster.ClusterWeight, headers: Headers | None, site: Site, field: str) -> None:
    """Append changes to those that a route, or one of its weighted clusters, makes already."""
    if headers is None:
        return
    request, response = headers.request or _NOTHING, headers.response or _NOTHING
    route.request_headers_to_add.extend(_additions(request, site, f"{field}.request"))
    route.response_headers_to_add.extend(_additions(response, site, f"{field}.response"))
    route.request_headers_to_remove.extend(_removals(request, site, f"{field}.request"))
    route.response_headers_to_remove.extend(_removals(response, site, f"{field}.response"))


def authority(headers: Headers | None) -> str:
    """The authority that changes to request headers amount to; "" if they leave it alone."""
    request = headers.request if headers and headers.request else _NOTHING
    for changes in (request.set, request.add):
        for name in sorted(changes):
            if name.lower() in {"host", ":authority"}:
                return changes[name]
    return ""


def _additions(changes: HeaderOperations, site: Site, field: str) -> Iterator[HeaderValueOption]:
    for way, headers, action in (
        ("set", changes.set, HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD),
        ("add", changes.add, HeaderValueOption.APPEND_IF_EXISTS_OR_ADD),
    ):
        for name in sorted(headers):
            if _is_internal(name):
                continue
            if why := unfit_name(name) or unfit_format(headers[name]):
                site.report(f"{field}.{way}.{name}", f"The header {name!r} is left out: it {why}", _HINT, code="PP0424")
                continue
            option = HeaderValueOption(append_action=action)
            option.header.key = name
            option.header.value = headers[name]
            yield option


def _removals(changes: HeaderOperations, site: Site, field: str) -> Iterator[str]:
    for index, name in enumerate(changes.remove):
        if why := unfit_name(name):
            site.report(f"{field}.remove[{index}]", f"The header {name!r} is left out: it {why}", _HINT, code="PP0424")
        elif not _is_internal(name):
            yield name


def _is_internal(name: str) -> bool:
    return name.startswith(":") or name.lower() == "host"
