"""Several sources as one."""

import asyncio
from contextlib import aclosing

import pytest

from pilotpy.sources.layers import Layers
from pilotpy.sources.together import Together
from tests.sources.test_namespaces import HERE, Change, namespace


class Told:
    """A source that says what it is told to."""

    findings = ()

    def __init__(self):
        self.say = asyncio.Queue()

    async def watch(self):
        while True:
            batch = await self.say.get()
            if batch is None:
                raise OSError("broken")
            yield batch


def change(new, old=None):
    return Change((new or old).ref, HERE, old, new)


A, A2, B = namespace("a"), namespace("a", x="2"), namespace("b")


def test_the_first_source_that_has_an_object_says_what_it_is():
    layers = Layers()
    assert layers.uppermost(1, [change(A)]) == [change(A)]
    assert layers.uppermost(0, [change(A2)]) == [change(A2, A)]
    assert layers.uppermost(1, [change(B), change(None, A)]) == [change(B)]
    assert layers.uppermost(1, [change(A)]) == []
    assert layers.uppermost(0, [change(None, A2)]) == [change(A, A2)]
    assert layers.uppermost(1, [change(None, A)]) == [change(None, A)]


def test_a_layer_that_goes_leaves_what_others_say():
    layers = Layers()
    layers.uppermost("west", [change(A2), change(B)])
    layers.uppermost("east", [change(A)])
    assert layers.drop("east") == [change(A2, A)]
    assert layers.replace("west", [change(A)]) == [change(None, B), change(A, A2)]


def test_nothing_is_told_before_all_have_said_what_they_hold():
    async def story():
        one, two = Told(), Told()
        async with aclosing(Together([one, two]).watch()) as told:
            first = asyncio.ensure_future(anext(told))
            one.say.put_nowait([change(A)])
            one.say.put_nowait([change(A2, A)])
            done, _ = await asyncio.wait({first}, timeout=0.05)
            assert not done
            two.say.put_nowait([change(B)])
            assert {one.ref.name for one in await first} == {"a", "b"}
            two.say.put_nowait([])
            assert await anext(told) == []

    asyncio.run(story())


def test_a_source_that_breaks_is_not_passed_over():
    async def story():
        one, two = Told(), Told()
        async with aclosing(Together([one, two]).watch()) as told:
            one.say.put_nowait([])
            two.say.put_nowait(None)
            with pytest.raises(OSError, match="broken"):
                await anext(told)

    asyncio.run(story())
