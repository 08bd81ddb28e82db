"""How the Pods of a workload are replaced: which may start now, and which must go.

Pure arithmetic on states that somebody else observes. Source: kubernetes
pkg/controller/deployment/rolling.go and util.ResolveFenceposts; statefulset and daemon controllers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import Enum
from typing import NamedTuple

from pilotpy.model.pod import Pod
from pilotpy.model.resource import Resource
from pilotpy.model.workload import Deployment, RollingUpdate, StatefulSet
from pilotpy.sources.workloads import Workload


class PodState(Enum):
    """What a Pod is doing."""

    WANTED = "wanted"  # it should run, and nobody has said yet that it does
    STARTING = "starting"
    READY = "ready"
    TERMINATING = "terminating"
    GONE = "gone"


class Present(NamedTuple):
    """A Pod that was asked for and is not gone."""

    pod: Resource[Pod]
    state: PodState


class Allowance(NamedTuple):
    """What a rolling update may do to the number of Pods."""

    extra: int  # so many above what is wanted
    missing: int  # so many below
    at_once: bool = False  # all old ones go before a new one comes
    in_order: bool = False  # each new one waits until all before it are ready


class Step(NamedTuple):
    """What is to be done next; both in order, both may be empty."""

    stop: tuple[str, ...]
    start: tuple[Resource[Pod], ...]


def allowance(workload: Workload, size: int) -> Allowance:
    """What the rolling update of a workload with so many Pods may do."""
    if isinstance(workload, StatefulSet):
        return Allowance(extra=0, missing=1, in_order=workload.pod_management_policy == "OrderedReady")
    if not isinstance(workload, Deployment):
        return Allowance(extra=0, missing=1)
    strategy = workload.strategy
    if strategy and strategy.type == "Recreate":
        return Allowance(extra=0, missing=size, at_once=True)
    rolling = (strategy and strategy.rolling_update) or RollingUpdate()
    extra = _share(rolling.max_surge, size, math.ceil)
    missing = _share(rolling.max_unavailable, size, math.floor)
    return Allowance(extra, missing) if extra or missing else Allowance(0, 1)


def step(target: Mapping[str, Resource[Pod]], present: Mapping[str, Present], allowed: Allowance) -> Step:
    """The next step from the Pods that are present to those that are wanted; empty: arrived, or waiting.

    A Pod whose name is still in use waits until the old one is gone.
    """
    live = {name: one for name, one in present.items() if one.state is not PodState.TERMINATING}
    old = [name for name, one in live.items() if name not in target or not same(one.pod, target[name])]
    ready = [name for name, one in live.items() if one.state is PodState.READY]
    least = max(0, len(target) - allowed.missing)

    current = {_revision(pod) for pod in target.values()} - {""}
    doomed = [name for name in old if name not in target and _revision(live[name].pod) in current]  # just too many
    replaced = [name for name in reversed(old) if name not in doomed]
    if allowed.at_once:
        doomed += replaced
    else:
        unready_new = len(live.keys() - set(old) - set(ready))
        unready = [name for name in replaced if name not in ready]
        doomed += unready[: max(0, len(live) - len(doomed) - least - unready_new)]
        spare = len(set(ready) - set(doomed)) - least
        doomed += [name for name in replaced if name in ready][: max(0, spare)]

    waiting = [pod for name, pod in target.items() if name not in present]
    room = len(target) + allowed.extra - (len(live) - len(doomed))
    if allowed.at_once and len(present) > len(live) - len(old):
        room = 0
    if allowed.in_order:
        room = min(room, 1 if len(ready) == len(present) else 0)
    return Step(tuple(doomed), tuple(waiting[: max(0, room)]))


def same(present: Resource[Pod], target: Resource[Pod]) -> bool:
    """Whether a Pod already runs what is wanted of it (its name being the same)."""
    return _revision(present) == _revision(target)


def _revision(pod: Resource[Pod]) -> str:
    """What tells the Pods of one template from those of another; "" where only their names do."""
    labels = pod.meta.labels
    return labels.get("pod-template-hash") or labels.get("controller-revision-hash") or ""


def _share(written: int | str | None, size: int, rounded: Callable[[float], int]) -> int:
    """A number of Pods from a number or a percentage; what is neither counts as the default, a quarter."""
    if isinstance(written, int):
        return max(0, written)
    try:
        percent = int((written or "25%").removesuffix("%"))
    except ValueError:
        percent = 25
    return max(0, rounded(size * percent / 100))
