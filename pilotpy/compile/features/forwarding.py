"""Forwarding: ``HTTPRoute.route`` to one cluster or to weighted clusters.

Source: Envoy ``config/route/v3/route_components.proto``, ``RouteAction``; Istio ``HTTPRouteDestination``.
"""

from __future__ import annotations

from typing import Final

from pilotpy.compile.features.headers import add_to, authority
from pilotpy.compile.route_site import PASSED_OVER, Site
from pilotpy.model.virtual_service import HTTPRoute, HTTPRouteDestination
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import Route

_MOST_WEIGHT: Final = 2**32 - 1  # of all clusters of a route together, in Envoy


def write(route: Route, rule: HTTPRoute, site: Site) -> None:
    """Let the route send requests on, unless it does something already."""
    if route.WhichOneof("action"):
        return
    for index, to in enumerate(rule.route):
        _report_flaw(index, to, site)
    if len(rule.route) == 1:
        _to_one(route, rule.route[0], site)
    else:
        _to_several(route, rule.route, site)


def _to_one(route: Route, only: HTTPRouteDestination, site: Site) -> None:
    if only.destination is None:
        site.refuse(route, "route[0].destination", "A route needs a destination", "name a host")
        return
    route.route.cluster = site.target(only.destination).cluster
    add_to(route, only.headers, site, "route[0].headers")
    if host := authority(only.headers):
        route.route.host_rewrite_literal = host


def _to_several(route: Route, several: tuple[HTTPRouteDestination, ...], site: Site) -> None:
    # Weights are not brought to a total of 100: they are shares of their own sum.
    total = sum(max(to.weight, 0) for to in several)
    if not 0 < total <= _MOST_WEIGHT:
        message = "No destination has a weight" if total == 0 else "The weights are too large together"
        site.refuse(route, "route", message, "give weights in proportion, one above 0 at least")
        return
    for index, to in enumerate(several):
        if to.weight <= 0:
            if to.weight < 0:
                site.report(
                    f"route[{index}].weight", "A negative weight counts as 0", "use 0 or more", code=PASSED_OVER
                )
            continue
        if to.destination is None:
            site.refuse(route, f"route[{index}].destination", "A route needs a destination", "name a host")
            return
        cluster = route.route.weighted_clusters.clusters.add(name=site.target(to.destination).cluster)
        cluster.weight.value = to.weight
        add_to(cluster, to.headers, site, f"route[{index}].headers")
        if host := authority(to.headers):
            cluster.host_rewrite_literal = host


def _report_flaw(index: int, to: HTTPRouteDestination, site: Site) -> None:
    if to.destination is None:
        return
    target = site.target(to.destination)
    if target.flaw:
        field = f"route[{index}].destination.{target.field}"
        site.report(field, f"{target.flaw}; requests sent there are answered with 503", target.hint, code=target.code)
