"""Somebody who follows a folder, and remembers all that it ever said."""

import asyncio
from contextlib import asynccontextmanager
from itertools import count

from pilotpy.sources.folder import Folder

MARKER = "came-after"


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
        self._marks = count()

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
            if ref.kind == "Service" and not ref.name.startswith(MARKER):
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

    async def noticed(self, folder):
        """A file that comes now, once it is known, and so is all that has happened in its folder before."""
        name = f"{MARKER}-{next(self._marks)}"
        file = folder / f"{name}.yaml"
        file.write_text(service(name))
        await self.until(lambda: name in self._named())
        return file

    async def quiet(self, folder):
        """Nothing was said of what has happened in a folder, nor will be: what comes and goes after it is told."""
        before, batches = len(self.history), self.batches
        file = await self.noticed(folder)
        file.unlink()
        await self.until(lambda: file.stem not in self._named())
        assert self.history[before:] == []
        assert self.batches == batches + 2

    def _named(self):
        return {ref.name: one.spec.ports[0].port for ref, one in self.objects.items() if ref.kind == "Service"}

    @property
    def services(self):
        """Ports, by names; without the files that this made itself."""
        return {name: port for name, port in self._named().items() if not name.startswith(MARKER)}

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
