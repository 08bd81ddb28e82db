"""Whether a pod's Envoy serves what it was sent: being alive alone says nothing of that.

Source  istio/istio ``pilot/cmd/pilot-agent/status/ready/probe.go``, ``status/util/stats.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_LIVE: Final = 0
_CLUSTERS: Final = "cluster_manager.cds.update_success"
_LISTENERS: Final = "listener_manager.lds.update_success"
_WORKERS: Final = "listener_manager.workers_started"
_STATE: Final = "server.state"

STATISTICS: Final = f"^({_CLUSTERS}|{_LISTENERS}|{_WORKERS}|{_STATE})$".replace(".", r"\.")
"""The pattern of the names that are read."""


def unready(counts: Mapping[str, int]) -> str:
    """What Envoy still lacks, as a sentence; empty if it serves."""
    lacks = [
        what
        for what, name in (("clusters", _CLUSTERS), ("listeners", _LISTENERS))
        if not counts.get(name)  # counted once the first are in use
    ]
    if lacks:
        return f"no {' and no '.join(lacks)} received from the control plane"
    if not counts.get(_WORKERS):
        return "workers have not started"
    state = counts.get(_STATE, -1)
    return "" if state == _LIVE else f"server is not live, its state is {state}"
