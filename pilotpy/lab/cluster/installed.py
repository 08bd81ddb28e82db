"""What a control plane needs of a cluster, as `deploy/` has it: definitions, a namespace, an account and its rights."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

from pilotpy.kube.definitions import definitions
from pilotpy.lab.cluster.objects import SYSTEM, Object
from pilotpy.model.resource import Ref

ACCOUNT: Final = Ref("ServiceAccount", SYSTEM, "istiod")
"""As whom the control plane runs."""

_DEPLOY: Final = Path(__file__).parents[3] / "deploy"
_FILES: Final = ("namespace.yaml", "service-account.yaml", "roles.yaml")


def control_plane_objects() -> list[Object]:
    """All of it that this distribution has: its account and rights are in a checkout only."""
    paths = [_DEPLOY / name for name in _FILES]
    here = [path for path in paths if path.is_file()]
    return [one for path in here for one in yaml.safe_load_all(path.read_text()) if one]


def own_definitions() -> list[Object]:
    """The kinds of a mesh. A cluster that has Istio's keeps those."""
    return list(definitions())


def has_account(objects: list[Object]) -> bool:
    """Whether the control plane's account is among what is installed."""
    return any(one["kind"] == ACCOUNT.kind and one["metadata"]["name"] == ACCOUNT.name for one in objects)
