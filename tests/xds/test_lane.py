"""When changes are taken up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pilotpy.ops.clock import Moment
from pilotpy.xds.lane import Lane

QUIET, BOUND = timedelta(milliseconds=100), timedelta(seconds=10)


@pytest.mark.parametrize(
    ("quiet", "bound", "seen", "due"),
    [
        pytest.param(QUIET, BOUND, [1.0], 1.1, id="one change waits for quiet"),
        pytest.param(QUIET, BOUND, [1.0, 1.05, 1.1], 1.2, id="quiet is counted from the last"),
        pytest.param(QUIET, BOUND, [n / 20 for n in range(300)], 10.0, id="under steady churn the bound holds"),
        pytest.param(QUIET, QUIET, [1.0, 1.05, 1.09], 1.1, id="a fixed window is counted from the first"),
        pytest.param(QUIET, QUIET, [], None, id="nothing is never due"),
    ],
)
def test_due(quiet, bound, seen, due):
    lane = Lane("x", quiet, bound)
    for moment in seen:
        lane.add([], [], Moment(moment))
    assert lane.due == (due if due is None else pytest.approx(due))


def test_what_is_taken_is_gone():
    lane = Lane("x", QUIET, BOUND)
    lane.add([], ["a"], Moment(1.0))
    lane.add([], ["b"], Moment(2.0))
    load = lane.taken()
    assert (load.causes, load.first) == (["a", "b"], 1.0)
    assert lane.taken() is None
    assert lane.due is None
