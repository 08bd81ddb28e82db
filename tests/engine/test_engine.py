"""The engine's contract, rule by rule."""

from __future__ import annotations

import pytest

from pilotpy.engine import Asking, Cycle, Engine, Failure, Fork, OutOfTime, Stale, Work, query
from tests.engine.shop import Good, catalogue, cheap, discount, drop, label, shelf, stock, tagged


def shops(count: int, goods: int = 10) -> Engine:
    """Return an engine with that many shops, everything asked by two views."""
    engine = Engine()
    engine.apply(stock(Good(f"shop{s:05}", f"good{g}", 11)) for s in range(count) for g in range(goods))
    engine.ask(catalogue, "a")
    engine.ask(catalogue, "b")
    return engine


def work_of(engine: Engine, *puts: object) -> Work:
    """Return the work of a write and of asking both views again."""
    before = engine.work.copy()
    engine.apply(puts)  # type: ignore[arg-type]  # puts, from the calls below
    engine.ask(catalogue, "a")
    engine.ask(catalogue, "b")
    return engine.work.since(before)


@pytest.mark.parametrize("count", [100, 1000])
def test_an_edit_costs_its_own_path_at_any_size(count: int) -> None:
    engine = shops(count)
    price = work_of(engine, stock(Good("shop00007", "good3", 12)))
    # Marked: the label, its shelf, whether the shop is cheap, two catalogues. "Cheap" comes out equal.
    assert price == Work(marks=5, runs=5, equal=1)


def test_writing_the_same_again_is_no_revision() -> None:
    engine = shops(3)
    revision = engine.revision
    assert work_of(engine, stock(Good("shop00001", "good3", 11))) == Work()
    assert engine.revision == revision


def test_an_equal_answer_stops_the_wave() -> None:
    engine = Engine()
    engine.apply([stock(Good("n", "apple", 5)), stock(Good("n", "bread", 5))])
    assert engine.ask(cheap, "n")
    before = engine.work.copy()
    engine.apply([stock(Good("n", "apple", 6))])
    assert engine.ask(cheap, "n")
    assert engine.work.since(before) == Work(marks=1, runs=1, equal=1)


def test_a_miss_is_noticed_when_the_object_arrives() -> None:
    engine = Engine()
    assert engine.ask(label, "n", "apple") == "n/apple: gone"
    assert engine.ask(tagged, "red") == ()
    engine.apply([stock(Good("n", "apple", 5, "red"))])
    assert engine.ask(label, "n", "apple") == "n/apple: 5"
    assert engine.ask(tagged, "red") == ("n/apple: 5",)


def test_a_read_that_is_no_longer_made_no_longer_counts() -> None:
    engine = Engine()
    engine.apply([stock(Good("n", "apple", 19)), discount("n", 2)])
    assert engine.ask(label, "n", "apple") == "n/apple: 17"
    engine.apply([stock(Good("n", "apple", 5))])
    engine.ask(label, "n", "apple")
    before = engine.work.copy()
    engine.apply([discount("n", 3)])
    engine.ask(label, "n", "apple")
    assert engine.work.since(before) == Work()


def test_membership_is_not_touched_by_an_edit_of_a_member() -> None:
    engine = Engine()
    engine.apply([stock(Good("n", "apple", 11))])
    engine.ask(shelf, "n")
    before = engine.work.copy()
    engine.apply([stock(Good("n", "apple", 12))])
    engine.ask(shelf, "n")
    assert engine.work.since(before) == Work(marks=2, runs=2, equal=0)


def test_a_failed_leaf_gives_its_stand_in_and_a_note() -> None:
    engine = Engine()
    engine.apply([stock(Good("n", "apple", -1)), stock(Good("n", "bread", 5))])
    assert engine.ask(shelf, "n") == ("n/apple: ask the clerk", "n/bread: 5")
    (failure,) = engine.notes(shelf, "n")
    assert failure == Failure("tests.engine.shop.label", ("n", "apple"), "ValueError: price -1")
    assert engine.failed() == [failure]
    assert engine.failed() == []
    engine.apply([stock(Good("n", "apple", 4))])
    assert engine.ask(shelf, "n") == ("n/apple: 4", "n/bread: 5")
    assert engine.notes(shelf, "n") == []


@query
def strict(q: Asking, shop: str) -> int:
    """Return the price of the apple, or fail."""
    from tests.engine.shop import GOODS

    good = q.get(GOODS, shop, "apple")
    if good is None:
        raise LookupError("no apple")
    return good.price


@query(otherwise=lambda shop: -1)
def careful(q: Asking, /, shop: str) -> int:
    """Return the price of the apple, or -1."""
    return q(strict, shop)


def test_an_undeclared_failure_travels_to_the_nearest_leaf_and_heals() -> None:
    engine = Engine()
    with pytest.raises(LookupError, match="no apple"):
        engine.ask(strict, "n")
    assert engine.ask(careful, "n") == -1
    engine.apply([stock(Good("n", "apple", 5))])
    assert engine.ask(careful, "n") == 5
    assert engine.ask(strict, "n") == 5


@query
def egg(q: Asking) -> int:
    """Ask the hen."""
    return q(hen)


@query
def hen(q: Asking) -> int:
    """Ask the egg."""
    return q(egg)


def test_a_query_that_needs_its_own_answer_is_refused() -> None:
    engine = Engine()
    with pytest.raises(Cycle, match="needs its own answer"):
        engine.ask(hen)


def test_a_deadline_keeps_what_is_complete() -> None:
    engine = Engine()
    engine.apply(stock(Good("n", f"good{g}", 1)) for g in range(100))
    asks = 0
    while True:
        asks += 1
        budget = iter(range(30))
        try:
            engine.ask_until(lambda budget=budget: next(budget, None) is None, shelf, "n")  # type: ignore[misc]  # mypy reads no default of a lambda
        except OutOfTime:
            continue
        break
    # 100 labels in slices of 30; the shelf itself starts anew in each slice and counts once.
    assert (asks, engine.work.runs) == (4, 101)


def test_a_fork_asks_only_what_its_inputs_touch_and_leaves_the_engine_alone() -> None:
    engine = shops(100)
    before = engine.ask(catalogue, "a")
    fork = Fork(engine)
    fork.apply([stock(Good("shop00007", "good3", 12))])
    after = fork.ask(catalogue, "a")
    assert fork.work.runs == 4
    assert after != before
    assert engine.ask(catalogue, "a") is before
    fork.apply([stock(Good("shop00007", "good3", 11))])
    assert fork.ask(catalogue, "a") == before


def test_a_fork_of_a_revision_that_is_gone_says_so() -> None:
    engine = shops(2)
    fork = Fork(engine)
    engine.apply([drop("shop00000", "good1")])
    with pytest.raises(Stale, match="revision 1 to 2"):
        fork.ask(catalogue, "a")


def test_what_nobody_holds_is_dropped_after_a_grace_period() -> None:
    engine = shops(10)
    engine.hold(shelf, "shop00001")
    assert engine.sweep() == 0, "asked since the last sweep"
    assert engine.sweep() > 0
    before = engine.work.copy()
    engine.ask(shelf, "shop00001")
    assert engine.work.since(before) == Work(), "held, so kept"
    engine.ask(shelf, "shop00002")
    assert engine.work.since(before).runs == 11, "dropped, so asked anew"


def test_notes_of_shared_answers_are_told_once() -> None:
    engine = Engine()
    engine.apply([stock(Good("n", "apple", -1, "red"))])
    assert len(engine.notes(catalogue, "a")) == 1


def test_notes_of_all_answers_in_use_are_found_without_going_through_them() -> None:
    engine = shops(3)
    engine.hold(catalogue, "a")
    assert list(engine.noted()) == []
    engine.apply([stock(Good("shop00001", "good3", -1))])
    engine.ask(catalogue, "a")
    assert list(engine.noted()) == engine.notes(catalogue, "a") != []
    engine.apply([stock(Good("shop00001", "good3", 12))])
    assert list(engine.noted()) == []  # nobody knows yet
    engine.ask(catalogue, "a")
    assert list(engine.noted()) == []
