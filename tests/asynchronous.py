"""From a coroutine to a test that runs it, in a loop of its own."""

import asyncio
from inspect import signature


def asynchronous(test):
    """Run a coroutine as a test."""

    def run(**arguments):
        asyncio.run(test(**arguments))

    run.__name__ = test.__name__
    run.__signature__ = signature(test)
    run.pytestmark = getattr(test, "pytestmark", [])
    return run
