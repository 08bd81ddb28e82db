"""Durations as Go and ProtoJSON write them."""

from datetime import timedelta

import pytest

from pilotpy.schema.durations import duration

READ = [
    ("seconds", "5s", timedelta(seconds=5)),
    ("a fraction", "1.5s", timedelta(milliseconds=1500)),
    ("milliseconds", "500ms", timedelta(milliseconds=500)),
    ("microseconds with the micro sign", "10\u00b5s", timedelta(microseconds=10)),
    ("microseconds with the Greek letter", "10\u03bcs", timedelta(microseconds=10)),
    ("several terms", "1h2m3.5s", timedelta(hours=1, minutes=2, seconds=3.5)),
    ("a sign", "-1m", timedelta(minutes=-1)),
    ("zero needs no unit", "0", timedelta(0)),
    ("no digits before the point", ".5s", timedelta(milliseconds=500)),
    ("nanoseconds that make whole microseconds", "2000ns", timedelta(microseconds=2)),
]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in READ], ids=[case[0] for case in READ])
def test_a_duration(text, expected):
    assert duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", "1d", "1.s.", "--1s", "1e3s", "s5", "٥s", "9" * 70 + "s", "3000000h", "1ns"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match=r"duration|longer|finer"):
        duration(text)
