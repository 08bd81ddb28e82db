"""Mirrors: ``HTTPRoute.mirror`` and ``mirrors`` to Envoy's ``RequestMirrorPolicy``.

Source: Envoy ``config/route/v3/route_components.proto``; Istio ``HTTPMirrorPolicy``.
"""

from __future__ import annotations

from pilotpy.compile.features.shares import per_hundred, per_million
from pilotpy.compile.route_site import PASSED_OVER, Site
from pilotpy.model.virtual_service import Destination, HTTPRoute, Percent
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import Route
from pilotpy_protos.envoy.type.v3.percent_pb2 import FractionalPercent


def write(route: Route, rule: HTTPRoute, site: Site) -> None:
    """Send copies of forwarded requests elsewhere too."""
    if not route.HasField("route"):
        return
    if rule.mirror is not None:
        _mirror(route, rule.mirror, _first_share(rule), "mirror", site)
    for index, mirror in enumerate(rule.mirrors):
        if mirror.destination is None:
            site.report(
                f"mirrors[{index}].destination",
                "A mirror needs a destination; left out",
                "name a host",
                code=PASSED_OVER,
            )
        else:
            _mirror(route, mirror.destination, _share(mirror.percentage), f"mirrors[{index}].destination", site)


def _mirror(route: Route, to: Destination, share: FractionalPercent, field: str, site: Site) -> None:
    if not share.numerator:
        return
    target = site.target(to)
    if target.flaw:
        site.report(field, f"{target.flaw}; nothing is mirrored", target.hint, code=target.code)
    policy = route.route.request_mirror_policies.add(cluster=target.cluster, disable_shadow_host_suffix_append=True)
    policy.runtime_fraction.default_value.CopyFrom(share)
    policy.trace_sampled.value = False


def _first_share(rule: HTTPRoute) -> FractionalPercent:
    if rule.mirror_percentage is None and rule.mirror_percent is not None:
        return per_hundred(rule.mirror_percent)
    return _share(rule.mirror_percentage)


def _share(percentage: Percent | None) -> FractionalPercent:
    return per_hundred(100) if percentage is None else per_million(percentage.value)
