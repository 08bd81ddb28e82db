"""What happens to the files under some roots, as the kernel tells it: inotify(7).

Folders are watched, not files, so that files may come, go and be renamed. Events are taken in as
soon as the loop is free, and only noted: which files were touched, which are being written, and
whether folders or links changed, after which everything is to be looked at.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from asyncinotify import Event, Inotify, Mask

from pilotpy.sources.disk import SUFFIXES, Disk, entries

_BEGUN = Mask.CREATE | Mask.MODIFY
_ENDED = Mask.CLOSE_WRITE | Mask.MOVED_TO | Mask.MOVED_FROM | Mask.DELETE
_MOVED = Mask.CREATE | Mask.MOVED_TO | Mask.MOVED_FROM | Mask.DELETE
_ITSELF = Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.UNMOUNT
_ALL = _BEGUN | _ENDED | Mask.ATTRIB | Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.ONLYDIR


class Watch:
    """Watches a disk's roots from when it is entered; belongs to one event loop."""

    def __init__(self, disk: Disk) -> None:
        self.written: set[Path] = set()  # files that somebody began to write, and has not closed since
        self._disk = disk
        self._inotify = Inotify(sync_timeout=0)
        self._touched: set[Path] = set()
        self._everything = False
        self._lost = False
        self._links: defaultdict[Path, set[Path]] = defaultdict(set)  # file -> links to it, where it is not beside them
        self._news = asyncio.Event()

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._inotify.fd, self._drain)
        self._follow()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.get_running_loop().remove_reader(self._inotify.fd)
        self._inotify.close()

    async def touched(self, wait: float | None) -> set[Path] | None:
        """The files that were touched since the last call, once there are any, or `wait` seconds are over.

        None: folders or links changed, or the kernel lost count; any file may be another one.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), wait)
        touched, everything = self._touched, self._everything or self._lost
        self._touched, self._everything, self._lost = set(), False, False
        self._news.clear()
        if everything:
            self._follow()
            return None
        return touched

    def touched_meanwhile(self, among: Collection[Path]) -> set[Path]:
        """Those of some files that were touched since the last call of `touched`, up to this moment."""
        self._drain()
        return set(among) if self._lost else self._touched & set(among)

    def _follow(self) -> None:
        """Watch all folders that matter now."""
        self._links.clear()
        for root in self._disk.roots:
            above = root.parent
            while not above.is_dir():
                above = above.parent
            self._add(above)
            for path in entries(root) if root.is_dir() else [root]:
                if path.is_dir():
                    self._add(path)
                elif path.is_symlink():
                    target = path.resolve()
                    self._links[target].add(path)
                    if target.parent.is_dir():
                        self._add(target.parent)

    def _add(self, folder: Path) -> None:
        try:
            self._inotify.add_watch(folder, _ALL)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return  # what is gone again is told by the folder above it
        except OSError as error:
            error.add_note(f"{folder} cannot be watched: sysctl fs.inotify.max_user_watches may be too small")
            raise

    def _drain(self) -> None:
        """Take note of all that has happened up to now."""
        while event := self._inotify.sync_get():
            self._note(event)
        if self._touched or self._everything or self._lost:
            self._news.set()

    def _note(self, event: Event) -> None:
        mask, path = event.mask, event.path
        if mask & Mask.Q_OVERFLOW:
            self._lost = True
        if path is None:
            return
        if mask & _ITSELF:
            self._everything = True
            if mask & Mask.MOVE_SELF and event.watch:  # its path is no longer true
                with suppress(OSError):
                    self._inotify.rm_watch(event.watch)
        elif mask & Mask.ISDIR:
            if mask & _MOVED and self._concerns(path):
                self._everything = True
        else:
            for file in {path, *self._links.get(path, ())}:
                self._note_file(file, mask)

    def _note_file(self, path: Path, mask: Mask) -> None:
        if not self._concerns(path):
            return
        if mask & _MOVED and path.is_symlink():
            self._everything = True
        elif self._is_manifest(path):
            self._touched.add(path)
            if mask & _BEGUN:
                self.written.add(path)
            elif mask & _ENDED:
                self.written.discard(path)

    def _is_manifest(self, path: Path) -> bool:
        """Whether a file is one of those that a look would find."""
        for root in self._disk.roots:
            if path == root:
                return True
            if path.is_relative_to(root) and path.suffix in SUFFIXES:
                return not any(part.startswith(".") for part in path.relative_to(root).parts)
        return False

    def _concerns(self, path: Path) -> bool:
        """Whether a path is in, at or above one of the roots."""
        return any(path.is_relative_to(root) or root.is_relative_to(path) for root in self._disk.roots)
