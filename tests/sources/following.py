"""Somebody who follows a folder, and remembers all that it ever said."""

import asyncio
from contextlib import asynccontextmanager

from pilotpy.sources.folder import Folder


def service(name: str, port: int = 80, namespace: str = "shop") -> str:
    return (
        "---\napiVersion: v1\nkind: Service\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {{ports: [{{port: {port}}}]}}\n"
    )


class Follower:
    """What somebody who follows a folder knows."""

    def __init__(self, folder):
        self.folder = folder
        self.objects = {}
        self.history = []  # every Service that came, changed (to a port) or went (None)
        self.batches = self._heard = 0
        self._news = asyncio.Event()

    async def pump(self):
        async for changes in self.folder.watch():
            self.take(changes)
            self.batches += 1
            self._news.set()

    def take(self, changes):
        for ref, _, old, new in changes:
            assert self.objects.get(ref) == old
            if new is None:
                del self.objects[ref]
            else:
                self.objects[ref] = new
            if ref.kind == "Service":
                self.history.append((ref.name, new.spec.ports[0].port if new else None))

    async def until(self, holds, within=5.0):
        async with asyncio.timeout(within):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def until_services(self, **services):
        await self.until(lambda: self.services == services)

    def heard(self):
        """Whether anything was said since this was last asked."""
        batches, self._heard = self.batches - self._heard, self.batches
        return bool(batches)

    async def quiet(self, seconds):
        """Nothing is said for a while."""
        self._news.clear()
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return
        raise AssertionError(self.history)

    @property
    def services(self):
        return {ref.name: one.spec.ports[0].port for ref, one in self.objects.items() if ref.kind == "Service"}

    @property
    def findings(self):
        return [(one.file.rpartition("/")[2], one.line, one.code) for one in self.folder.findings]


@asynccontextmanager
async def following(*roots, **options):
    follower = Follower(Folder(roots, **options))
    pump = asyncio.create_task(follower.pump())
    pump.add_done_callback(lambda _: follower._news.set())
    try:
        async with asyncio.timeout(5):
            await follower._news.wait()
        yield follower
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
    if not pump.cancelled():
        pump.result()
