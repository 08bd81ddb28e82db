"""Tracked queries: pure functions whose reads are recorded, so that an edit re-asks only its own.

Knows nothing of Envoy, Kubernetes or meshes. The contract is section 1 of the architecture page.
"""

from pilotpy.engine.asking import Asking
from pilotpy.engine.graph import Cycle, Engine, Failure, OutOfTime, Put, Work
from pilotpy.engine.inputs import Index, Kind
from pilotpy.engine.query import Query, query

__all__ = [
    "Asking",
    "Cycle",
    "Engine",
    "Failure",
    "Index",
    "Kind",
    "OutOfTime",
    "Put",
    "Query",
    "Work",
    "query",
]
