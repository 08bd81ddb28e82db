"""Which control plane a lab has: one that goes by folders, or one that goes by an API server."""

from __future__ import annotations

from pathlib import Path

from pilotpy.lab.plane import PlaneProcess
from pilotpy.lab.supervisor import Order, Plane


def plane_of(order: Order) -> Plane:
    """The control plane of a lab, not started yet."""
    if order.cluster is None:
        return PlaneProcess(order.folders, Path(order.place))
    from pilotpy.lab.cluster.plane import ClusterPlane  # what talks to API servers takes its time to import

    return ClusterPlane(order.cluster, order.folders, Path(order.place))
