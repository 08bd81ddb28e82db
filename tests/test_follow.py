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


def test_that_nobody_follows_any_more_is_not_kept_quiet(tmp_path, caplog, monkeypatch):
    async def play() -> None:
        said = asyncio.Event()
        monkeypatch.setattr(caplog.handler, "handle", lambda record: caplog.handler.emit(record) or said.set())
        caplog.handler.setLevel(logging.CRITICAL)
        async with following(Failing([tmp_path]), SETTINGS):
            await asyncio.wait_for(said.wait(), 10)

    asyncio.run(play())
    assert "ZeroDivisionError" in caplog.text
