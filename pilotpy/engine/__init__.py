"""Tracked queries: pure functions whose reads are recorded, so that an edit re-asks only its own.

Knows nothing of Envoy, Kubernetes or meshes. Its contract is written down in docs/architecture.md.
"""

from pilotpy.engine.asking import Asking
from pilotpy.engine.fork import Fork, Stale
from pilotpy.engine.graph import Engine
from pilotpy.engine.inputs import Index, Kind, Put
from pilotpy.engine.node import Cycle, Failure, OutOfTime, Work
from pilotpy.engine.query import Query, query

__all__ = [
    "Asking",
    "Cycle",
    "Engine",
    "Failure",
    "Fork",
    "Index",
    "Kind",
    "OutOfTime",
    "Put",
    "Query",
    "Stale",
    "Work",
    "query",
]
