"""Where keys are kept: a set of small files that is read and written as one, in a folder or (later) a Secret.

A folder has the layout that Kubernetes gives to mounted Secrets, because it makes a change of several files one rename:
`..data` is a symbolic link to the folder with the files of now, and each name is a link through it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from pilotpy_ca.errors import Conflict, Locked, StorageError

_DATA: Final = "..data"


class Stored(NamedTuple):
    """What was found."""

    files: Mapping[str, bytes]  # may be empty
    version: str  # differs after every write

    def __repr__(self) -> str:
        return f"<Stored {self.version}: {', '.join(sorted(self.files))}>"  # there are keys among it


class Storage(Protocol):
    """Keeps files of at most a few hundred KiB together."""

    def load(self) -> Stored:
        """All files. Raises `StorageError`."""
        ...

    def save(self, files: Mapping[str, bytes], after: str) -> str:
        """Put these files in place of all that are there, whole or not at all; returns the new version.

        Raises `Conflict` if what is there is not of the version `after`, `StorageError` if it cannot be written.
        """
        ...


class FolderStorage:
    """Files in a folder of this machine, for one process: whoever opens it first keeps it until `close`.

    Folders are 0700 and files 0600. Raises `Locked`, or `StorageError` if the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"{folder}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise Locked(f"{folder}: another process keeps the keys in it") from None

    def close(self) -> None:
        """Let another process have the folder."""
        os.close(self._lock)

    def load(self) -> Stored:
        """See `Storage`. A folder without `..data` holds its files itself, as istiod's users lay them out."""
        here = self.folder / _DATA
        try:
            source = here if here.is_symlink() else self.folder  # a link to nowhere is an error, not an empty folder
            files = {
                path.name: path.read_bytes()
                for path in sorted(source.iterdir())
                if path.is_file() and path.suffix in {".pem", ".json"}
            }
        except OSError as error:
            raise StorageError(f"{self.folder}: {error.strerror}") from error
        return Stored(files, self._version())

    def save(self, files: Mapping[str, bytes], after: str) -> str:
        """See `Storage`."""
        if (found := self._version()) != after:
            raise Conflict(f"{self.folder}: somebody else wrote {found or 'nothing'} over {after or 'nothing'}")
        number = int(after.removeprefix("..")) + 1 if after else 1
        fresh = self.folder / f"..{number:06}"
        try:
            shutil.rmtree(fresh, ignore_errors=True)  # of a write that was cut off
            fresh.mkdir(mode=0o700)
            for name, content in files.items():
                _write(fresh / name, content)
            _sync(fresh)
            self._link(Path(fresh.name), _DATA)
            for name in files:
                self._link(Path(_DATA, name), name)
            _sync(self.folder)
        except OSError as error:
            if self._version() != fresh.name:
                shutil.rmtree(fresh, ignore_errors=True)
                raise StorageError(f"{self.folder}: {error.strerror}; nothing was changed") from error
            # The new files are in force; only links that people look through are missing.
        self._tidy(fresh.name, files)
        return fresh.name

    def _version(self) -> str:
        try:
            return str((self.folder / _DATA).readlink())
        except OSError:
            return ""

    def _link(self, target: Path, name: str) -> None:
        scratch = self.folder / f".{name}.tmp"
        scratch.unlink(missing_ok=True)
        scratch.symlink_to(target)
        scratch.replace(self.folder / name)

    def _tidy(self, current: str, files: Mapping[str, bytes]) -> None:
        """Remove what is not in force any more: keys above all."""
        with suppress(OSError):
            for path in self.folder.iterdir():
                if path.is_symlink():
                    if path.name not in files and path.name != _DATA and path.suffix in {".pem", ".json"}:
                        path.unlink(missing_ok=True)
                elif path.is_dir() and path.name.startswith("..") and path.name != current:
                    shutil.rmtree(path, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
