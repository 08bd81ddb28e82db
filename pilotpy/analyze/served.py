"""All that proxies are served, read once for what is noted on the way."""

from __future__ import annotations

from pilotpy.compile.collections import COLLECTIONS
from pilotpy.engine import Asking, query
from pilotpy.mesh.views import view


@query
def served(q: Asking, proxy: str) -> None:
    """Read everything that a proxy is given without asking for it by name."""
    seen = q(view, proxy)
    for asked, facets in COLLECTIONS.values():
        q(asked, *facets(seen))


@query
def served_to_all(q: Asking, proxies: tuple[str, ...]) -> None:
    """Read everything that several proxies are given: what they share has its notes collected once."""
    for proxy in proxies:
        q(served, proxy)
