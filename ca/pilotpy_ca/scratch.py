"""A folder for what lives as long as a process: locked by it, and swept by the next one if it was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_TRIES = 5


class ScratchFolder:
    """A new folder among the temporary ones, 0700; those of this prefix whose owners are dead are removed first.

    An owner is alive as long as it holds the lock on its folder. Raises `OSError` if there can be none.
    """

    def __init__(self, prefix: str) -> None:
        place = Path(tempfile.gettempdir())
        for left in place.glob(f"{prefix}*"):
            _sweep(left)
        for _ in range(_TRIES):
            self.path = Path(tempfile.mkdtemp(prefix=prefix))
            locked = _locked(self.path)
            if locked is not None and self.path.exists():
                self._lock = locked
                return
            if locked is not None:  # swept by another process before it was ours
                os.close(locked)
        raise OSError(f"no folder of our own in {place}")

    def remove(self) -> None:
        """Remove it with all that is in it. May be called again."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _sweep(folder: Path) -> None:
    """Remove a folder that nobody holds, if it is this user's."""
    with contextlib.suppress(OSError):
        found = folder.lstat()
        if found.st_uid != os.getuid() or folder.is_symlink():
            return
        if (lock := _locked(folder)) is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """A lock on a folder; None if somebody has it, or there is no such folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
