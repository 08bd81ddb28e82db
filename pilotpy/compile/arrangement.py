"""The endpoints of a cluster as one client sees them: in localities, weighed, and the preferred ones first.

Pure, and free of Envoy's messages. Source: istiod's ``pilot/pkg/networking/core/loadbalancer``; what priorities and
locality weights do is in Envoy's "Priority levels" and "Locality weighted load balancing".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import NamedTuple

from pilotpy.compile.features import locality as topology
from pilotpy.compile.features.locality import Shares, Spread
from pilotpy.mesh.service import Endpoint, Locality
from pilotpy.mesh.view import Place

NOWHERE = Place()

_LARGEST_WEIGHT = 2**32 - 1


class Group(NamedTuple):
    """Endpoints of one locality and priority; 0 is used first, and priorities have no gaps."""

    locality: Locality
    priority: int
    weight: int
    endpoints: tuple[Endpoint, ...]  # in the order given; never empty


def arranged(endpoints: Sequence[Endpoint], spread: Spread | None, place: Place) -> tuple[Group, ...]:
    """Group endpoints for a client at ``place``; sorted by locality, within one the preferred first; may be empty."""
    by_locality: dict[Locality, list[Endpoint]] = {}
    for endpoint in endpoints:
        by_locality.setdefault(endpoint.locality, []).append(endpoint)
    groups = [_group(locality, by_locality[locality]) for locality in sorted(by_locality)]
    if spread is None:
        return tuple(groups)
    if spread.distribute:
        return _distributed(groups, spread.distribute, place.locality)
    ranked = [
        ((rank, _distance(group.locality, spread, place.locality)), _group(group.locality, alike))
        for group in groups
        for rank, alike in _by_labels(group.endpoints, spread.labels, place)
    ]
    levels = {rank: level for level, rank in enumerate(sorted({rank for rank, _ in ranked}))}
    return tuple(group._replace(priority=levels[rank]) for rank, group in ranked)


def _group(locality: Locality, endpoints: Iterable[Endpoint]) -> Group:
    members = tuple(endpoints)
    return Group(locality, 0, min(sum(each.weight for each in members), _LARGEST_WEIGHT), members)


def _distributed(groups: list[Group], distribute: tuple[Shares, ...], here: Locality) -> tuple[Group, ...]:
    """Weigh localities as the first rule for this one says; those that it does not name get nothing."""
    shares = next((shares for shares in distribute if _matches(here, shares.origin)), None)
    if shares is None:
        return tuple(groups)
    weighed: dict[Locality, Group] = {}
    for pattern, weight in shares.weights:
        matched = [group for group in groups if group.locality not in weighed and _matches(group.locality, pattern)]
        total = sum(group.weight for group in matched)
        for group in matched:
            share = ceil(group.weight * weight / total) if total else 0
            weighed[group.locality] = group._replace(weight=share or group.weight)
    return tuple(weighed[group.locality] for group in groups if group.locality in weighed)


def _distance(there: Locality, spread: Spread, here: Locality) -> int:
    if not (spread.nearest_first or spread.region_first):
        return 0
    if there.region == here.region:
        if spread.region_first or there == here:
            return 0
        return 1 if there.zone == here.zone else 2
    successor = next((to for region, to in spread.regions if region == here.region), None)
    if spread.region_first:
        return 3 if there.region == successor else 4
    return 3 if successor is None or there.region == successor else 4


def _by_labels(
    endpoints: tuple[Endpoint, ...], labels: tuple[str, ...], place: Place
) -> list[tuple[int, list[Endpoint]]]:
    """Divide endpoints by how many leading labels agree with the client's, most first."""
    wanted = [_wanted(label, place) for label in labels]
    found: dict[int, list[Endpoint]] = {}
    for endpoint in endpoints:
        found.setdefault(_disagreement(endpoint, wanted), []).append(endpoint)
    return sorted(found.items())


def _wanted(label: str, place: Place) -> tuple[str, str]:
    name, separator, value = label.partition("=")
    if not separator:
        value = _value(name, place.labels, place.locality, (place.network, place.cluster, place.node))
    return name, value


def _disagreement(endpoint: Endpoint, wanted: list[tuple[str, str]]) -> int:
    elsewhere = 0
    for index, (name, value) in enumerate(wanted):
        own = _value(name, endpoint.labels, endpoint.locality, (endpoint.network, endpoint.cluster, endpoint.node))
        if own == value:
            continue
        if index == 0 and name == topology.NETWORK:
            # Another network is worse than anything within this one, but the labels behind it still count.
            elsewhere = len(wanted)
            continue
        return len(wanted) - index + elsewhere
    return elsewhere


def _value(name: str, labels: tuple[tuple[str, str], ...], locality: Locality, where: tuple[str, str, str]) -> str:
    """What an endpoint or a client has for a label; what its place says counts as labels too."""
    network, cluster, node = where
    placed = {
        topology.REGION: locality.region,
        topology.ZONE: locality.zone,
        topology.SUBZONE: locality.subzone,
        topology.NETWORK: network,
        topology.CLUSTER: cluster,
        topology.NODE: node,
    }
    return placed.get(name) or dict(labels).get(name, "")


def _matches(locality: Locality, pattern: str) -> bool:
    """Whether a locality is within ``region/zone/subzone``, of which the tail may be left out or "*"."""
    wanted = pattern.split("/", 2)
    return all(
        part in {"*", own} or (part == "" and index)
        for index, (part, own) in enumerate(zip(wanted, locality, strict=False))
    )
