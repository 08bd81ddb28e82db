"""Waiting for what a real API server says a little later."""

import asyncio
from functools import partial

from tests import waiting
from tests.kube.cluster import Refused

eventually = partial(waiting.eventually, passing=Refused)
"""A refusal counts as nothing yet."""


async def soon(condition, patience=20):
    """The same in a thread of its own, so that what is tested goes on beside it."""
    return await asyncio.to_thread(eventually, condition, patience)
