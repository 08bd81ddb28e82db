"""Which API server a lab goes by, as the process outside tells the one inside."""

from __future__ import annotations

import msgspec

from pilotpy.lab.cluster.way import Way


class OwnServer(msgspec.Struct, frozen=True):
    """One that the lab starts, in its own network."""

    assets: str  # folder of kube-apiserver and etcd
    door: int  # descriptor of a socket of the machine that leads to it
    port: int  # of both, so that one kubeconfig is good inside and outside


class ClusterOrder(msgspec.Struct, frozen=True):
    """An API server, and how it is logged in to."""

    kubeconfig: str = ""  # "": as kubectl finds it
    context: str = ""  # "": the current one
    way: Way | None = None  # to one that is there
    own: OwnServer | None = None
    unguarded: bool = False  # somebody vouches for it that nobody else lives there
