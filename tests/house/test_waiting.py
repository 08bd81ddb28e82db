"""Tests wait for conditions: who sleeps instead is slow where it need not be, and wrong where the machine is slower."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

ALLOWED = {
    "waiting.py": "looks again a moment later: the one place for that",
    "lab/load.py": "a client's pace",
    "kube/test_csr_signer.py": "a controller of somebody else's looks now and then",
    "sources/test_watch.py": "somebody dawdles while writing",
    "xds/fleet.py": "measures, and has settled when nothing comes for a while",
}
"""Who sleeps, and why. What measures (`bench`) may."""


def naps(module: Path) -> list[int]:
    """The lines where a module lets time pass."""
    calls = [node.func for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    named = {call: call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
    return [call.lineno for call, name in named.items() if name == "sleep"]


@pytest.mark.parametrize(
    "module",
    [one for one in sorted(TESTS.rglob("*.py")) if "bench" not in one.parts],
    ids=lambda one: one.relative_to(TESTS).as_posix(),
)
def test_nobody_sleeps_where_a_condition_can_be_waited_for(module):
    reason = ALLOWED.get(module.relative_to(TESTS).as_posix())
    assert bool(naps(module)) == bool(reason), "`tests/waiting.py` waits; a reason that is none any more goes"
