"""Roots in another cluster whose API server says something else than it should."""

import asyncio
import logging
from datetime import timedelta

import pytest

from pilotpy.kube.remote_roots import RemoteRoots
from pilotpy.ops.settings import Settings
from tests.waiting import until


class Answering:
    """An API server, or what stands before it, that answers one thing."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.asked = answer, 0

    async def ask(self, *_parts: object, **_more: object) -> bytes:
        self.asked += 1
        return self.answer


@pytest.mark.parametrize("answer", [b"<html>log in", b'{"items": 7}', b""], ids=["a page", "no list", "nothing"])
def test_a_cluster_that_answers_nonsense_is_asked_again_and_no_fault_of_ours(answer, caplog):
    async def play():
        server = Answering(answer)
        pause = timedelta(milliseconds=10)
        roots = RemoteRoots({"east": server}, None, None, settings=Settings(), pause=pause)
        following = asyncio.create_task(roots.run())
        await until(lambda: server.asked > 3)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    with caplog.at_level(logging.INFO):
        asyncio.run(play())
    assert {record.levelname for record in caplog.records} == {"WARNING"}
