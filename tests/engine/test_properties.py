"""Whatever happens in whatever order, answers are those of a cold engine with the same inputs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pilotpy.engine import Engine, Fork, OutOfTime, Put
from tests.engine.shop import DISCOUNTS, GOODS, Good, catalogue, discount, drop, everything, stock, tagged

SHOPS = st.sampled_from(["n", "s", "w"])
NAMES = st.sampled_from(["apple", "bread", "cup"])
PRICES = st.sampled_from([-1, 1, 9, 15, 19])
TAGS = st.sampled_from(["", "red", "blue"])

PUTS = st.one_of(
    st.builds(stock, st.builds(Good, SHOPS, NAMES, PRICES, TAGS)),
    st.builds(drop, SHOPS, NAMES),
    st.builds(discount, SHOPS, st.sampled_from([None, 2, 3])),
)
BATCHES = st.lists(PUTS, max_size=4)


class Asks:
    """Steps between writes that must not change what later answers are."""

    def __init__(self) -> None:
        self.left = 0

    def everything(self, engine: Engine, _other: list[Put]) -> None:
        """Ask all."""
        everything(engine)

    def one(self, engine: Engine, _other: list[Put]) -> None:
        """Ask one thing, so that others stay doubtful."""
        engine.ask(tagged, "red")

    def slices(self, engine: Engine, _other: list[Put]) -> None:
        """Ask with a deadline after every third run until the answer is there."""
        for _ in range(100):
            self.left = 3
            try:
                engine.ask_until(self._over, catalogue, "a")
            except OutOfTime:
                continue
            return
        raise AssertionError("an ask in slices never ends")

    def _over(self) -> bool:
        self.left -= 1
        return self.left < 0

    def fork(self, engine: Engine, other: list[Put]) -> None:
        """Ask a fork that differs, twice, while the engine below is asked too."""
        fork = Fork(engine)
        for at in range(2):
            fork.apply(other[at::2])
            engine.ask(catalogue, "a")
            assert everything(fork) == everything(cold(fork))

    def sweep(self, engine: Engine, _other: list[Put]) -> None:
        """Drop what nobody needs."""
        engine.sweep(grace=0)

    def hold(self, engine: Engine, _other: list[Put]) -> None:
        """Hold an answer from now on."""
        engine.hold(catalogue, "a")


def cold(engine: Engine) -> Engine:
    """Return a new engine with the same inputs, written in another order."""
    fresh = Engine()
    puts = [Put(GOODS, key, good) for key, good in engine.objects(GOODS)]
    puts += [Put(DISCOUNTS, key, percent) for key, percent in engine.objects(DISCOUNTS)]
    fresh.apply(reversed(puts))
    return fresh


STEPS = st.sampled_from(["everything", "one", "slices", "fork", "sweep", "hold"])


@given(st.lists(st.tuples(BATCHES, STEPS, BATCHES), max_size=12))
@settings(max_examples=300, deadline=None)
def test_answers_are_those_of_a_cold_engine(history: list[tuple[list[Put], str, list[Put]]]) -> None:
    engine, asks = Engine(), Asks()
    for puts, step, other in history:
        engine.apply(puts)
        getattr(asks, step)(engine, other)
    assert everything(engine) == everything(cold(engine))


@given(BATCHES, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_objects_does_not_matter(puts: list[Put], random: object) -> None:
    last = {(put.kind, put.key): put for put in puts}
    shuffled = list(last.values())
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis hands out a random.Random
    one, other = Engine(), Engine()
    one.apply(puts)
    for put in shuffled:
        other.apply([put])
    assert everything(one) == everything(other)


@given(BATCHES, BATCHES)
@settings(deadline=None)
def test_a_held_answer_that_changes_is_woken(before: list[Put], after: list[Put]) -> None:
    engine = Engine()
    engine.apply(before)
    engine.hold(catalogue, "a")
    old = engine.ask(catalogue, "a")
    engine.woken()
    engine.apply(after)
    woken = engine.woken()
    assert (catalogue, ("a",)) in woken or engine.ask(catalogue, "a") == old
