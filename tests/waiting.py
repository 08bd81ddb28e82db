"""Waiting for what nobody announces to a test: the one place where tests let time pass.

Both ways return what was waited for, and fail when it is nothing for too long. Errors that are `passing` count as
nothing until then: of those who cannot answer yet.
"""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

_BETWEEN = 0.01  # seconds from one look to the next
_NEVER = "it did not come about"

Errors = type[Exception] | tuple[type[Exception], ...]


def eventually(
    condition: Callable[[], Any],
    patience: float = 20,
    *,
    passing: Errors = (),
    words: Callable[[], str] = lambda: _NEVER,
) -> Any:
    """What a condition says, as soon as that is something. `words` tell who waited in vain what there is instead."""
    deadline = time.monotonic() + patience
    while True:
        try:
            if found := condition():
                return found
        except passing:
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline, words()
        time.sleep(_BETWEEN)


async def until(condition: Callable[[], Any], patience: float = 20, *, passing: Errors = ()) -> Any:
    """The same beside other tasks; what a condition says may have to be awaited."""
    trouble = None
    try:
        async with asyncio.timeout(patience):
            while True:
                try:
                    said = condition()
                    if found := await said if inspect.isawaitable(said) else said:
                        return found
                except passing as error:
                    trouble = error
                await asyncio.sleep(_BETWEEN)
    except TimeoutError:
        raise AssertionError(_NEVER) from trouble
