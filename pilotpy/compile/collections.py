"""Which query answers for each type of resource, and which facets of a proxy's view it takes.

The whole of what the edges know of the compiler. Queries take no more of a view than they read, so that proxies
share answers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from pilotpy.engine import Query
from pilotpy.mesh.view import View


class Collection(NamedTuple):
    """All resources of one type that a proxy is given: a query that returns a `Tree`, and its arguments."""

    query: Query[..., Any]
    facets: Callable[[View], tuple[Hashable, ...]]
