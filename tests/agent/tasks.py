"""Work that goes on while a test looks at it."""

import asyncio
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def background(*work):
    """Run coroutines as long as the context lasts; what one raises ends the test."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
