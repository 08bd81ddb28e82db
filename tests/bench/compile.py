"""Compiling: cold, for further views, and after one edit; with exact work counts. Times are of CPU.

``python -m tests.bench.compile 1000``
"""

from __future__ import annotations

import sys
import time

from pilotpy.compile.collections import COLLECTIONS
from pilotpy.engine import Engine, Put
from pilotpy.mesh.views import view
from pilotpy.ops.garbage import keep_all, look_seldom
from tests.bench.row import resident, row
from tests.bench.world import announce, endpoint_edit, mesh, route_edit

VIEWS = 100
_AIMED_AT = 1000  # services


def everything(engine: Engine, proxy: str) -> int:
    """Ask for all that a proxy is served; return how many resources that is."""
    seen = engine.ask(view, proxy)
    return sum(len(engine.ask(query, *facets(seen))) for query, facets in COLLECTIONS.values())


def main(services: int) -> None:
    """Measure one size of mesh: ten endpoints a service, ten services a namespace."""
    case = f"{services} services"
    look_seldom()
    started = time.process_time()
    engine = mesh(services)
    row(case, "read typed objects into the engine", (time.process_time() - started) * 1000, "ms")
    keep_all()
    empty = resident()
    first = announce(engine, 0)
    started = time.process_time()
    resources = everything(engine, first)
    aim = "< 300" if services == _AIMED_AT else ""
    row(case, "cold compile, one view", (time.process_time() - started) * 1000, "ms", aim)
    row(case, "resources of that view", resources, "")
    row(case, "memory a resource, one view", (resident() - empty) / resources / 1024, "KB", "< 10")
    others = [announce(engine, number) for number in range(1, VIEWS)]
    started = time.process_time()
    for proxy in others:
        everything(engine, proxy)
    row(case, f"each further view, 2nd to {VIEWS}th", (time.process_time() - started) * 1000 / len(others), "ms")
    row(case, f"memory of all answers, {VIEWS} views", (resident() - empty) / 2**20, "MB")
    _edit(case, "VirtualService edit", engine, [first, *others], [route_edit(30), route_edit(40)])
    _edit(case, "endpoint edit", engine, [first, *others], [endpoint_edit(7), endpoint_edit(8)])


def _edit(case: str, what: str, engine: Engine, proxies: list[str], puts: list[Put]) -> None:
    for put in puts:  # the first one pays for what is asked the first time; the second is told
        work = engine.work.copy()
        started = time.process_time()
        engine.apply([put])
        everything(engine, proxies[0])
        one = time.process_time() - started
        for proxy in proxies[1:]:
            everything(engine, proxy)
        every = time.process_time() - started
        done = engine.work.since(work)
    row(case, f"{what}, one view", one * 1000, "ms")
    row(case, f"{what}, {len(proxies)} views", every * 1000, "ms")
    row(case, f"{what}: marks / all views", done.marks, "")
    row(case, f"{what}: runs / all views", done.runs, "")
    row(case, f"{what}: equal / all views", done.equal, "")


main(int(sys.argv[1]))
