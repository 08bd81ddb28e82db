"""pilotpy: the control plane of an Envoy service mesh.

``mesh = pilotpy.load("k8s/")`` is the way in; the command line uses the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pilotpy.api import Mesh, MeshProxy, cluster, load

__all__ = ["Mesh", "MeshProxy", "cluster", "load"]


def __getattr__(name: str) -> Any:
    # Late, so that `pilotpy --help` does not wait for protobuf and YAML.
    if name in __all__:
        from pilotpy import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
