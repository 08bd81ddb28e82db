"""A control plane of a cluster that tells of itself: ``python -m tests.bench.cluster_plane KUBECONFIG PORT``.

Prints how it started as a line of JSON once it serves; for each line that it then reads, what it did since the last.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import msgspec

from pilotpy.follow import following
from pilotpy.gather import gathered
from pilotpy.model.resource import Finding
from pilotpy.ops.garbage import keep_all, look_seldom
from pilotpy.ops.instruments import instruments
from pilotpy.ops.settings import Settings
from pilotpy.ops.timeline import Outcome
from pilotpy.sources.change import Change
from pilotpy.sources.folder import Folder
from pilotpy.sources.kubernetes.login import default_login
from pilotpy.sources.together import Source
from pilotpy.xds.server import Server
from tests.bench.row import resident


class Started(msgspec.Struct, frozen=True):
    """How it started; seconds since it began to look."""

    synced: float
    ready: float
    peak: int  # bytes
    objects: int


class Push(msgspec.Struct, frozen=True):
    """What some proxies were sent; moments on the clock that all processes share."""

    revision: int
    seen: float
    compiled: float
    finished: float | None
    acked: int


class Look(msgspec.Struct, frozen=True):
    """What it did since the last look."""

    cpu: float  # seconds since it was started
    resident: int  # bytes
    pushes: tuple[Push, ...]


class Watched:
    """A source, and when it had told all that there is."""

    def __init__(self, source: Source) -> None:
        """``source``: which one."""
        self._source = source
        self.synced = 0.0
        self.objects = 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """See ``Source.findings``."""
        return self._source.findings

    async def watch(self) -> AsyncIterator[list[Change]]:
        """See ``Source.watch``."""
        async for batch in self._source.watch():
            if not self.synced:
                self.synced, self.objects = time.monotonic(), len(batch)
            yield batch


async def main(kubeconfig: Path, port: int) -> None:
    """Serve until there is nobody to tell."""
    settings = Settings(
        grpc_address=f"127.0.0.1:{port}", secure_grpc_address="", http_address="", monitoring_address=""
    )
    watched_with, login = instruments(), default_login(kubeconfig)
    look_seldom()
    began = time.monotonic()
    async with gathered(Folder(()), login, settings, watched_with.metrics) as source:
        watched = Watched(source)
        async with following(watched, settings, None, watched_with) as server:
            keep_all()
            await server.compiler.caught_up()
            peak = getrusage(RUSAGE_SELF).ru_maxrss * 1024
            _tell(Started(watched.synced - began, time.monotonic() - began, peak, watched.objects))
            told = -1
            while await asyncio.to_thread(sys.stdin.readline):
                look = _look(server, told)
                told = max([told, *(push.revision for push in look.pushes if push.finished is not None)])
                _tell(look)


def _look(server: Server, told: int) -> Look:
    used = getrusage(RUSAGE_SELF)
    pushes = tuple(
        Push(one.revision, one.seen, one.compiled, one.finished, one.outcomes.get(Outcome.ACKED, 0))
        for one in server.instruments.timeline.records()
        if one.revision > told
    )
    return Look(used.ru_utime + used.ru_stime, resident(), pushes)


def _tell(what: Started | Look) -> None:
    sys.stdout.write(msgspec.json.encode(what).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
