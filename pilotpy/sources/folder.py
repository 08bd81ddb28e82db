"""Files and folders of YAML as a source: what a cluster with these objects would hold, and its changes.

Offline, ``load`` reads once. ``watch`` reads, and goes on telling what changes, within a few
milliseconds after a file is closed; it never reads one that is being written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import Any

from pilotpy.model.pod import Pod
from pilotpy.model.resource import Finding, Ref, Resource
from pilotpy.sources.change import Change, Origin
from pilotpy.sources.disk import Disk, Look
from pilotpy.sources.files import Files
from pilotpy.sources.manifest import Manifest, Written, manifest
from pilotpy.sources.mesh_settings import CONFIG_MAP, KEYS, MESH_CONFIG, MESH_NETWORKS, MeshSettings
from pilotpy.sources.rollout import PodState
from pilotpy.sources.stand_in import StandIn
from pilotpy.sources.watch import Watch

GRACE = timedelta(milliseconds=50)
"""A file that is gone may be on its way back: many editors move the old one away before they write the new one."""


class Folder:
    """A source of files and folders. Observed: Pods are run by somebody who reports them; else they just are."""

    def __init__(
        self,
        roots: Iterable[str | PathLike[str]],
        *,
        mesh_config: str | PathLike[str] | None = None,
        mesh_networks: str | PathLike[str] | None = None,
        observed: bool = False,
    ) -> None:
        given = {MESH_CONFIG: mesh_config, MESH_NETWORKS: mesh_networks}
        self._own_files = {Path(path): ref for ref, path in given.items() if path is not None}
        self._disk = Disk([*map(Path, roots), *self._own_files])
        self._files = Files()
        self._settings = MeshSettings(self._own_files.values())
        self._config_map: Written | None = None
        self._stand_in = StandIn(observed=observed)

    def load(self) -> list[Change]:
        """Read what differs from the last time, at first all; sorted by object. What cannot be read is a finding."""
        look = self._disk.look()
        return self._take(look, self._read(look))

    async def watch(self) -> AsyncIterator[list[Change]]:
        """Yield what differs from the last time, at once and then whenever files change; for ever.

        A batch may be empty: then only findings changed, or where things stand.
        """
        now = asyncio.get_running_loop().time
        missing: dict[Path, float] = {}  # files that are gone, and when to believe it
        touched: set[Path] | None = None
        first = True
        with Watch(self._disk) as watch:
            while True:
                look = await asyncio.to_thread(self._disk.look, touched, written=watch.written.copy())
                read = await asyncio.to_thread(self._read, look)
                # What was touched while we read it may be half of something; it is read again.
                spoiled = watch.touched_meanwhile(look.contents)
                missing = {path: missing.get(path, now() + GRACE.total_seconds()) for path in look.gone}
                waiting = {path: until for path, until in missing.items() if until > now()}
                look = look.without(spoiled | waiting.keys())
                if first or look.contents or look.gone or look.vanished != self._disk.vanished:
                    yield self._take(look, {path: one for path, one in read.items() if path in look.contents})
                first = False
                missing = waiting
                touched = await watch.touched(min(missing.values()) - now() if missing else None)
                touched = None if touched is None else touched | missing.keys()

    def observe(self, pod: Ref, state: PodState) -> list[Change]:
        """Take in what a Pod does, as its kubelet reports it. Returns what that changes."""
        return self._stand_in.observe(pod, state)

    def wanted(self) -> tuple[Resource[Pod], ...]:
        """The Pods that should run now, sorted, with addresses. Those that run and are not here should stop."""
        return self._stand_in.wanted()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that is wrong with what was written, now; with file and line."""
        return (*self._files.findings, *self._settings.findings, *self._stand_in.findings)

    def where(self, ref: Ref, field: str = "") -> Origin | None:
        """File and line of a field, or of what is nearest above it; of what was made, where its maker stands."""
        if ref in KEYS:
            return self._settings.where(ref, field)
        maker = self._stand_in.made_from(ref)
        if maker == ref:
            return self._files.where(ref, field)
        return self._files.where(maker, f"spec.template.{field}" if field and ref.kind == "Pod" else "")

    @property
    def broken(self) -> tuple[Resource[Any], ...]:
        """Objects that were written, can be read and are refused; sorted. No change told of them."""
        return self._files.broken

    def made(self, ref: Ref) -> bool:
        """Whether nobody wrote an object: a controller would make it."""
        return self._stand_in.made_from(ref) != ref

    def implied(self, ref: Ref) -> bool:
        """Whether an object, or what it was made from, is in its namespace only because its file names none."""
        return self._files.implied(self._stand_in.made_from(ref))

    def _read(self, look: Look) -> dict[Path, Manifest]:
        return {path: manifest(path, found) for path, found in look.contents.items() if path not in self._own_files}

    def _take(self, look: Look, read: dict[Path, Manifest]) -> list[Change]:
        self._disk.accept(look)
        changes = self._files.take(look, read)
        for path, ref in self._own_files.items():
            if path in look.contents:
                changes += self._settings.from_file(ref, look.contents[path], str(path))
        config_map = self._files.written(CONFIG_MAP)
        if config_map is not self._config_map:
            self._config_map = config_map
            changes += self._settings.from_config_map(config_map)
        return self._stand_in.apply(changes)
