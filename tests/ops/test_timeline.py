"""The life of a change, told by a clock that stands still unless moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pilotpy.ops.clock import Moment
from pilotpy.ops.timeline import Outcome, Timeline


class HandClock:
    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def moment(self) -> Moment:
        return Moment(self.at)


def timeline(kept: int = 256):
    clock, finished = HandClock(), []
    return clock, finished, Timeline(clock, finished.append, kept)


def test_a_change_is_followed_from_being_seen_to_its_last_answer():
    clock, finished, line = timeline()
    line.seen(["VirtualService a/b"])
    clock.at += 0.1
    line.compiled(7, {"one", "two"})
    clock.at += 0.1
    assert line.sent(7, "one") == timedelta(seconds=0.2)
    clock.at += 0.1
    line.ended(7, "one", Outcome.ACKED)
    assert not finished
    clock.at += 0.1
    line.ended(7, "two", Outcome.REFUSED)
    (record,) = finished
    assert record.fields() | {"seen": ""} == {
        "revision": 7,
        "causes": ["VirtualService a/b"],
        "more_causes": 0,
        "seen": "",
        "compiled_ms": 100.0,
        "first_sent_ms": 200.0,
        "last_sent_ms": 200.0,
        "finished_ms": 400.0,
        "proxies": 2,
        "sent": 1,
        "acked": 1,
        "refused": 1,
        "gone": 0,
    }


def test_a_change_that_concerns_nobody_has_no_record():
    _, _, line = timeline()
    line.seen(["a"])
    line.compiled(1, set())
    line.seen(["b"])
    line.compiled(2, {"one"})
    (record,) = line.records()
    assert record.causes == ("b",)


def test_a_publication_without_a_change_has_no_record():
    _, _, line = timeline()
    line.compiled(1, {"one"})
    assert not line.records()


def test_an_answer_counts_once_and_only_from_whom_it_is_awaited():
    _, finished, line = timeline()
    line.seen(["a"])
    line.compiled(1, {"one", "two"})
    for connection in ("one", "one", "stranger"):
        line.ended(1, connection, Outcome.ACKED)
    assert not finished


def test_the_latest_are_kept_and_what_is_dropped_unfinished_is_told():
    _, finished, line = timeline(kept=2)
    for revision in range(3):
        line.seen(["a"])
        line.compiled(revision, {"one"})
    assert [record.revision for record in line.records()] == [1, 2]
    assert [record.revision for record in finished] == [0]
    assert finished[0].finished is None


def test_a_flood_of_causes_is_counted_and_the_first_are_named():
    _, _, line = timeline()
    line.seen(f"Service a/{n:03}" for n in range(100))
    line.compiled(1, {"one"})
    (record,) = line.records()
    assert len(record.causes) == 10
    assert record.more == 90
