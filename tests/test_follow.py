"""A control plane that follows sources which fail."""

from __future__ import annotations

import asyncio
import logging

from pilotpy.follow import following
from pilotpy.sources.folder import Folder
from tests.authority.plane import SETTINGS


class Failing(Folder):
    """Says what is there, and then fails as nobody thought of."""

    async def watch(self):
        async for changes in super().watch():
            yield changes
            raise ZeroDivisionError


class Heard(logging.Handler):
    """Whoever waits for something to be said."""

    def __init__(self) -> None:
        super().__init__(logging.CRITICAL)
        self.first: asyncio.Future[logging.LogRecord] = asyncio.get_running_loop().create_future()

    def emit(self, record: logging.LogRecord) -> None:
        self.first.set_result(record)


def test_that_nobody_follows_any_more_is_not_kept_quiet(tmp_path):
    async def play() -> logging.LogRecord:
        heard, log = Heard(), logging.getLogger("pilotpy.follow")
        log.addHandler(heard)
        try:
            async with following(Failing([tmp_path]), SETTINGS):
                return await asyncio.wait_for(heard.first, 10)
        finally:
            log.removeHandler(heard)

    record = asyncio.run(play())
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
