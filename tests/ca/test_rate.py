"""How often somebody may ask."""

from datetime import timedelta

from pilotpy_ca.rate import RateLimit
from tests.ca.scenery import HOUR, NOW

SECOND = timedelta(seconds=1)


def turns(limit, key, now, asked=100):
    return sum(limit.admits(key, now) for _ in range(asked))


def test_so_many_at_once_and_so_many_a_second_after_that():
    limit = RateLimit(10, 2.0)
    assert turns(limit, "a", NOW) == 10
    assert turns(limit, "b", NOW) == 10, "others have turns of their own"
    assert turns(limit, "a", NOW + SECOND) == 2
    assert turns(limit, "a", NOW + 3 * SECOND) == 4
    assert turns(limit, "a", NOW + HOUR) == 10, "no more are saved up"


def test_a_clock_that_is_set_back_shuts_nobody_out():
    limit = RateLimit(10, 2.0)
    assert turns(limit, "a", NOW) == 10
    assert turns(limit, "a", NOW - HOUR) == 10


def test_who_has_not_asked_lately_takes_no_room():
    limit = RateLimit(10, 2.0)
    for number in range(20_000):
        assert limit.admits(str(number), NOW + number * SECOND)
    assert len(limit) < 2000
