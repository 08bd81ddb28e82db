"""Keeping traffic near: which locality setting holds for a cluster, and what it makes of cluster and endpoints.

From ``localityLbSetting``, ``zoneAwareLbSetting``, a Service's ``trafficDistribution`` and the mesh's own settings to
Envoy's ``common_lb_config``, and to a ``Spread`` that says how a client's place orders the endpoints. Source: istiod's
``pilot/pkg/networking/core/loadbalancer``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pilotpy.compile.draft import Defaults, Draft
from pilotpy.model.destination_rule import (
    Failover,
    LoadBalancerSettings,
    LocalityLoadBalancerSetting,
    ZoneAwareLoadBalancerSetting,
)

REGION = "topology.kubernetes.io/region"
ZONE = "topology.kubernetes.io/zone"
SUBZONE = "topology.istio.io/subzone"
NETWORK = "topology.istio.io/network"
CLUSTER = "topology.istio.io/cluster"
NODE = "kubernetes.io/hostname"

_SAME_ZONE = LocalityLoadBalancerSetting(enabled=True, failover_priority=(NETWORK, REGION, ZONE))
_SAME_NODE = LocalityLoadBalancerSetting(enabled=True, failover_priority=(NETWORK, REGION, ZONE, SUBZONE, NODE))
_DISTRIBUTIONS = {"PreferClose": _SAME_ZONE, "PreferSameZone": _SAME_ZONE, "PreferSameNode": _SAME_NODE}


class Shares(NamedTuple):
    """How the traffic of one locality is divided. Localities may end in "*"."""

    origin: str
    weights: tuple[tuple[str, int], ...]  # sorted by locality


class Spread(NamedTuple):
    """How a client's place orders and weighs the endpoints of a cluster. A key of queries."""

    distribute: tuple[Shares, ...] = ()  # if any, the rest is void
    nearest_first: bool = False  # by subzone, zone, region
    region_first: bool = False  # by region alone: Envoy itself balances the zones
    regions: tuple[tuple[str, str], ...] = ()  # (region, region that takes over for it)
    labels: tuple[str, ...] = ()  # first by how many of these agree, in order; "label" or "label=value"


class _Locality(NamedTuple):
    setting: LocalityLoadBalancerSetting
    forced: bool = False  # also without outlier detection


def locality(draft: Draft) -> None:
    """Write whether Envoy weighs localities, or balances zones itself."""
    held = _held(draft.policy.load_balancer, draft.shape.traffic_distribution, draft.defaults)
    common = draft.cluster.common_lb_config
    if isinstance(held, ZoneAwareLoadBalancerSetting):
        zones = common.zone_aware_lb_config
        zones.SetInParent()
        if held.enabled is False:
            zones.routing_enabled.value = 0.0
        if held.min_cluster_size is not None:
            zones.min_cluster_size.value = held.min_cluster_size
    elif held is not None:
        fails_over = held.forced or draft.policy.outlier_detection is not None
        explicit = bool(held.setting.failover or held.setting.failover_priority)
        if held.setting.distribute or (fails_over and explicit):
            common.locality_weighted_lb_config.SetInParent()


def spread(
    settings: LoadBalancerSettings | None, traffic_distribution: str, defaults: Defaults, *, detects: bool
) -> Spread | None:
    """How a client's place matters to the endpoints of a cluster; None: it does not.

    ``detects``: the cluster has outlier detection, without which nothing would ever fail over.
    """
    held = _held(settings, traffic_distribution, defaults)
    if held is None:
        return None
    if isinstance(held, ZoneAwareLoadBalancerSetting):
        if held.enabled is False:
            return None
        return Spread(region_first=True, regions=_regions(held.failover), labels=held.failover_priority)
    setting = held.setting
    if setting.distribute:
        return Spread(distribute=tuple(Shares(d.from_, tuple(sorted(d.to.items()))) for d in setting.distribute))
    if not (detects or held.forced):
        return None
    nearest_first = not setting.failover_priority or bool(setting.failover)
    return Spread(nearest_first=nearest_first, regions=_regions(setting.failover), labels=setting.failover_priority)


def _held(
    settings: LoadBalancerSettings | None, traffic_distribution: str, defaults: Defaults
) -> _Locality | ZoneAwareLoadBalancerSetting | None:
    """The one setting that holds: the rule's, then the service's, then the mesh's."""
    if settings is not None and settings.zone_aware_lb_setting is not None:
        return settings.zone_aware_lb_setting
    if settings is not None and settings.locality_lb_setting is not None:
        return _enabled(settings.locality_lb_setting)
    if traffic_distribution in _DISTRIBUTIONS:
        return _Locality(_DISTRIBUTIONS[traffic_distribution], forced=True)
    return defaults.zone_aware if defaults.zone_aware is not None else _enabled(defaults.locality)


def _enabled(setting: LocalityLoadBalancerSetting) -> _Locality | None:
    return None if setting.enabled is False else _Locality(setting)


def _regions(failover: Iterable[Failover]) -> tuple[tuple[str, str], ...]:
    return tuple((each.from_, each.to) for each in failover)
