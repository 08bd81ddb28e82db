"""The ReplicaSets of a Deployment: which revision each is, and which are too old to be kept. Pure.

`kubectl rollout history` and `undo` read them. Source: kubernetes pkg/controller/deployment/util (Revision),
deployment_controller.go (cleanupDeployment).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from pilotpy.lab.cluster.made import REVISION, replica_set
from pilotpy.lab.cluster.objects import Held, Object
from pilotpy.model.resource import Ref, Resource

_HISTORY: Final = 10  # that are kept of a Deployment that does not say how many


def current(deployment: Resource[Held], known: Collection[Resource[Held]]) -> tuple[Ref, Object]:
    """The ReplicaSet of the template that is, as it is written: always of the highest number."""
    ref, _ = replica_set(deployment, 0)
    numbers = {one.ref: _number(one) for one in known}
    newest = max(numbers.values(), default=0)
    return replica_set(deployment, newest if newest and numbers.get(ref) == newest else newest + 1)


def outlived(deployment: Resource[Held], known: Collection[Resource[Held]]) -> list[Resource[Held]]:
    """Those of former templates that are no longer kept, oldest first; may be empty."""
    ref, _ = replica_set(deployment, 0)
    former = sorted((one for one in known if one.ref != ref), key=_number)
    kept = int(deployment.spec.spec.get("revisionHistoryLimit", _HISTORY))
    return former[: max(0, len(former) - kept)]


def _number(one: Resource[Held]) -> int:
    text = one.meta.annotations.get(REVISION, "")
    return int(text) if text.isdigit() else 0
