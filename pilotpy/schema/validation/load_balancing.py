"""How an endpoint is chosen, and from which locality.

Source: istio/istio pkg/config/validation/validation.go and agent/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isqrt
from typing import Final

from pilotpy.model.destination_rule import (
    ConsistentHashLB,
    Failover,
    HTTPCookie,
    LoadBalancerSettings,
    LocalityLoadBalancerSetting,
    WarmupConfiguration,
    ZoneAwareLoadBalancerSetting,
)
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import values

_LARGEST_TABLE = 5_000_011
_TOPOLOGY: Final = frozenset(
    {"topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"}
)


def load_balancer(settings: LoadBalancerSettings | None, at: str, *, outliers: bool) -> Problems:
    """`outliers`: endpoints that fail are found, without which nothing fails over."""
    if settings is None:
        return
    if settings.consistent_hash:
        yield from _consistent_hash(settings.consistent_hash, f"{at}.consistentHash")
    if settings.locality_lb_setting and settings.zone_aware_lb_setting:
        yield Problem(at, "Only one of localityLbSetting and zoneAwareLbSetting may be set")
    yield from locality(settings.locality_lb_setting, f"{at}.localityLbSetting", outliers=outliers)
    yield from zone_aware(settings.zone_aware_lb_setting, f"{at}.zoneAwareLbSetting", outliers=outliers)
    if settings.warmup_duration_secs is not None and settings.warmup is not None:
        yield Problem(at, "Only one of warmupDurationSecs and warmup may be set")
    yield from values.duration(settings.warmup_duration_secs, f"{at}.warmupDurationSecs")
    if settings.warmup:
        yield from _warmup(settings.warmup, f"{at}.warmup")


def _consistent_hash(settings: ConsistentHashLB, at: str) -> Problems:
    if settings.http_cookie:
        yield from _cookie(settings.http_cookie, f"{at}.httpCookie")
    if settings.minimum_ring_size:
        yield warning(f"{at}.minimumRingSize", "minimumRingSize is deprecated", "Use ringHash.minimumRingSize")
        if settings.ring_hash or settings.maglev:
            yield Problem(at, "Only one of minimumRingSize, ringHash and maglev may be set")
    if settings.maglev and not (0 < settings.maglev.table_size < _LARGEST_TABLE and _prime(settings.maglev.table_size)):
        yield Problem(
            f"{at}.maglev.tableSize", f"The size is a prime number below {_LARGEST_TABLE}", "Write one, such as 65537"
        )


def _cookie(cookie: HTTPCookie, at: str) -> Problems:
    if not cookie.name:
        yield Problem(f"{at}.name", "The cookie's name is missing")
    seen: set[str] = set()
    for i, attribute in enumerate(cookie.attributes):
        here = f"{below(f'{at}.attributes', i)}.name"
        if not attribute.name:
            yield Problem(here, "The attribute's name is missing")
        elif attribute.name in seen:
            yield Problem(here, f"There are two attributes {attribute.name!r}")
        seen.add(attribute.name)


def _warmup(warmup: WarmupConfiguration, at: str) -> Problems:
    if warmup.duration is None:
        yield Problem(f"{at}.duration", "The duration is missing")
    yield from values.duration(warmup.duration, f"{at}.duration")
    if (warmup.minimum_percent or 0) > 100:
        yield Problem(f"{at}.minimumPercent", f"{warmup.minimum_percent} is more than 100")
    if warmup.aggression is not None and warmup.aggression <= 0:
        yield Problem(f"{at}.aggression", f"{warmup.aggression} is not above 0", "Write 1.0 for a steady increase")


def locality(settings: LocalityLoadBalancerSetting | None, at: str, *, outliers: bool) -> Problems:
    """How localities share the traffic, or take over for each other."""
    if settings is None:
        return
    if settings.distribute and settings.failover:
        yield Problem(at, "Only one of distribute and failover may be set")
    if settings.failover and (mixed := _TOPOLOGY & set(settings.failover_priority)):
        hint = "Leave them out of failoverPriority, or leave failover out"
        message = f"With failover there is no priority by {', '.join(sorted(mixed))}"
        yield Problem(f"{at}.failoverPriority", message, hint)
    for i, one in enumerate(settings.distribute):
        here = f"{below(f'{at}.distribute', i)}.to"
        if any(not 1 <= share <= 100 for share in one.to.values()):
            yield Problem(here, "Each share is from 1 to 100")
        elif (total := sum(one.to.values())) != 100:
            yield Problem(here, f"The shares add up to {total}, not to 100", "Write percentages")
        yield from _localities(one.to, here)
    yield from _localities((one.from_ for one in settings.distribute), f"{at}.distribute")
    fails_over = bool(settings.failover or settings.failover_priority)
    yield from _failovers(settings.failover, at, blind=fails_over and not outliers)


def zone_aware(settings: ZoneAwareLoadBalancerSetting | None, at: str, *, outliers: bool) -> Problems:
    """How regions take over for each other; zones are left to Envoy."""
    if settings is None:
        return
    if mixed := _TOPOLOGY & set(settings.failover_priority):
        yield Problem(f"{at}.failoverPriority", f"Envoy itself sees to {', '.join(sorted(mixed))}", "Leave them out")
    fails_over = bool(settings.failover or settings.failover_priority)
    yield from _failovers(settings.failover, at, blind=fails_over and not outliers)


def _failovers(failovers: Iterable[Failover], at: str, *, blind: bool) -> Problems:
    if blind:
        hint = "Add outlierDetection beside loadBalancer: without it nothing notices that endpoints fail"
        yield warning(at, "Nothing fails over without outlierDetection", hint)
    for i, one in enumerate(failovers):
        here = below(f"{at}.failover", i)
        if one.from_ == one.to:
            yield Problem(here, "A region cannot take over for itself")
        if "/" in one.from_ + one.to:
            yield Problem(here, "Regions take over for regions; no zones may be named")
        if "*" in one.from_ + one.to:
            yield Problem(here, "Regions are named without wildcards")


def _localities(localities: Iterable[str], at: str) -> Problems:
    """Localities that do not overlap: of any two, neither holds the other."""
    seen: set[tuple[str, ...]] = set()
    above: set[tuple[str, ...]] = set()  # all that hold one of them
    for locality in localities:
        if locality.count("*") > 1 or ("*" in locality and not locality.endswith("*")):
            yield Problem(at, f"{locality!r} may have one wildcard, at its end")
        parts = tuple(locality.split("/", 2))
        if "" in parts:
            yield Problem(at, f"{locality!r} is not of the form region/zone/subzone")
        own = parts[:-1] if parts[-1] == "*" else parts
        holders = [own[:length] for length in range(len(own) + 1)]
        if own in above or not seen.isdisjoint(holders):
            yield Problem(at, f"{locality!r} overlaps with another")
        seen.add(own)
        above.update(holders)


def _prime(number: int) -> bool:
    return number in {2, 3} or (
        number > 3 and number % 2 == 1 and all(number % i for i in range(3, isqrt(number) + 1, 2))
    )
