"""Tests wait for conditions: who sleeps instead is slow where it need not be, and wrong where the machine is slower."""

import ast
from pathlib import Path

from tests.house.modules import REPOSITORY, TESTS, calls, nodes, offenders

ALLOWED = {
    "waiting.py": "looks again a moment later: the one place for that",
    "lab/load.py": "a client's pace",
    "kube/test_csr_signer.py": "a controller of somebody else's looks now and then",
    "sources/test_watch.py": "somebody dawdles while writing",
    "xds/fleet.py": "measures, and has settled when nothing comes for a while",
}
"""Who sleeps, and why. What measures (`bench`) may."""


def test_nobody_sleeps_where_a_condition_can_be_waited_for():
    measured = REPOSITORY / "tests" / "bench"
    waiting = [module for module in TESTS if measured not in module.parents]
    assert offenders(waiting, naps).keys() == {f"tests/{module}" for module in ALLOWED}


def naps(module: Path) -> list[int]:
    """The lines where a module lets time pass; a turn of the event loop, ``sleep(0)``, is none."""
    methods = [call for call in nodes(module, ast.Call) if getattr(call.func, "attr", "") == "sleep"]
    return [call.lineno for call in (*methods, *calls(module, "sleep")) if ast.unparse(call.args[0]) != "0"]
