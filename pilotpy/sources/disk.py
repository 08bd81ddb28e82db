"""What of some files and folders differs from what was seen last. Reads; understands nothing of what it reads."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from pilotpy.schema.documents import MAX_BYTES

SUFFIXES = (".yaml", ".yml", ".json")


class Stamp(NamedTuple):
    """What tells one content of a file from the next, short of reading it."""

    modified_ns: int
    size: int
    inode: int


class Content(NamedTuple):
    """What was found in a file."""

    stamp: Stamp
    text: bytes
    refused: str = ""  # why it was not read


class Look(NamedTuple):
    """What a look at the disk found. A file that somebody writes just now is neither new nor gone."""

    contents: Mapping[Path, Content]  # of files that are new or changed
    gone: frozenset[Path]  # files that were there
    vanished: frozenset[Path]  # roots that are not there, folders that may not be read; what was in them is not gone

    def without(self, files: Collection[Path]) -> Look:
        """The same, as if it had not looked at some files."""
        contents = {path: content for path, content in self.contents.items() if path not in files}
        return self._replace(contents=contents, gone=self.gone - set(files))


class _State(Enum):
    SAME = "nothing new to read"
    MISSING = "no such file"
    BUSY = "somebody writes it"


class Disk:
    """Some roots, files or folders, and what was last accepted of the files in them."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self.roots = tuple(dict.fromkeys(roots))
        self._stamps: dict[Path, Stamp] = {}
        self.vanished: frozenset[Path] = frozenset()

    def look(self, only: Collection[Path] | None = None, *, written: Collection[Path] | None = None) -> Look:
        """What differs, in all files, or only in some, which are then read whether they differ or not.

        With `written`, files that somebody has open for writing are left alone; where the system
        does not tell, those of `written` are. May take long, and may run in another thread.
        """
        vanished = self.vanished if only is not None else frozenset(self._closed())
        contents: dict[Path, Content] = {}
        there: set[Path] = set()
        for path in self.files() if only is None else sorted(only):
            found = _content(
                path,
                known=self._stamps.get(path) if only is None else None,
                careful=written is not None,
                suspect=written is not None and path in written,
            )
            if found is not _State.MISSING:
                there.add(path)
            if isinstance(found, Content):
                contents[path] = found
        missing = self._stamps.keys() - there if only is None else self._stamps.keys() & set(only) - there
        gone = frozenset(path for path in missing if not any(path.is_relative_to(root) for root in vanished))
        return Look(contents, gone, vanished)

    def accept(self, look: Look) -> None:
        """Compare with this look from now on."""
        self.vanished = look.vanished
        self._stamps |= {path: content.stamp for path, content in look.contents.items()}
        for path in look.gone:
            self._stamps.pop(path, None)

    def _closed(self) -> Iterator[Path]:
        """Roots that are not there, and folders whose entries may not be read."""
        for root in self.roots:
            if not root.exists():
                yield root
            for path in entries(root) if root.is_dir() else ():
                if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
                    yield path

    def files(self) -> Iterator[Path]:
        """All files that are there now: those of a folder sorted, folders in the order given."""
        for root in self.roots:
            if root.is_dir():
                yield from sorted(path for path in entries(root) if not path.is_dir())
            elif root.exists():
                yield root


def entries(folder: Path) -> Iterator[Path]:
    """A folder, and all folders and manifests in it but hidden ones, in no order. Follows links, not in circles."""
    seen = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            real = here.resolve(strict=True)
            if real in seen:
                continue
            seen.add(real)
            yield here
            with os.scandir(here) as listed:
                for entry in sorted(listed, key=lambda one: one.name):
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        waiting.append(here / entry.name)
                    elif entry.name.endswith(SUFFIXES):
                        yield here / entry.name
        except OSError:  # gone since its parent was listed, or not ours to read
            continue


def _content(path: Path, *, known: Stamp | None, careful: bool, suspect: bool) -> Content | _State:
    try:
        # Without O_NONBLOCK a named pipe would hold us until somebody writes to it.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            stamp = Stamp(status.st_mtime_ns, status.st_size, status.st_ino)
            if not stat.S_ISREG(status.st_mode):
                return _State.MISSING
            if stamp == known:
                return _State.SAME
            # Where nobody can tell, an empty file is one that has just been cut short to be written anew.
            if careful and _is_being_written(file.fileno(), otherwise=suspect or not status.st_size):
                return _State.BUSY
            if status.st_size > MAX_BYTES:
                return Content(stamp, b"", f"Larger than {MAX_BYTES >> 20} MiB, not read")
            return Content(stamp, file.read(MAX_BYTES + 1))
    except (FileNotFoundError, NotADirectoryError):
        return _State.MISSING
    except OSError as error:
        unread = Stamp(0, 0, 0)
        return _State.SAME if unread == known else Content(unread, b"", f"Not readable: {error.strerror}")


def _is_being_written(descriptor: int, *, otherwise: bool) -> bool:
    """Whether anybody has a file open for writing; `otherwise`, where the system does not tell.

    The kernel gives a read lease only on a file that nobody has open for writing: fcntl(2), Leases.
    """
    try:
        # Whoever opens the file while we hold the lease waits for us, and we would get SIGIO, which kills.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else otherwise
    return False
