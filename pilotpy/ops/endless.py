"""Work that is to go on for as long as its process: whatever ends it is told, and it is begun again.

That it ended is a fault of ours that nobody foresaw; to stop for good would be noticed only when what it does gets old.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from pilotpy.ops.logs import fields

_LOG: Final = logging.getLogger("pilotpy.work")
_FIRST, _LONGEST = timedelta(seconds=1), timedelta(minutes=1)


async def endless(name: str, work: Callable[[], Awaitable[None]], first: timedelta = _FIRST) -> None:
    """Do the work, for ever; after a failure again, after `first`, and twice as long each time it fails at once."""
    loop = asyncio.get_running_loop()
    pause = first
    while True:
        began = loop.time()
        try:
            await work()
        except Exception as failed:  # noqa: BLE001 - whatever it is
            unforeseen: Exception | None = failed
        else:
            unforeseen = None
        if loop.time() - began > _LONGEST.total_seconds():
            pause = first
        again = pause.total_seconds()
        _LOG.critical("work has ended that should not", exc_info=unforeseen, extra=fields(of=name, again_in=again))
        await asyncio.sleep(again)
        pause = min(pause * 2, _LONGEST)
