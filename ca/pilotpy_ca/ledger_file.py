"""The ledger on disk: a line of JSON for each certificate, so that after a restart it is known what to wait for."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from pilotpy_ca.errors import StorageError
from pilotpy_ca.ledger import Issued, Ledger


class _Line(msgspec.Struct, array_like=True):
    serial: str  # in hex digits: JSON has no integers of that size
    signer_id: str
    names: tuple[str, ...]
    holder: str
    begins: datetime
    ends: datetime
    roots: tuple[str, ...]


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_Line)


class LedgerFile:
    """Appends to a file, mode 0600. What cannot be written is held back, and written when it can be.

    A disk that is full stops no workload from getting its certificate: only a restart before there is room again
    forgets those that were held back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: list[bytes] = []
        self._torn = True  # the file may end within a line
        self._descriptor = -1

    @property
    def held_back(self) -> int:
        """How many certificates are not on disk."""
        return len(self._held)

    def read(self) -> tuple[Issued, ...]:
        """All that is in the file, in order; lines that a crash cut off are left out. Raises `StorageError`."""
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StorageError(f"{self._path}: {error.strerror}") from error
        issued = []
        for line in lines:
            with suppress(msgspec.DecodeError, ValueError):
                issued.append(_issued(_DECODER.decode(line)))
        return tuple(issued)

    def append(self, one: Issued) -> None:
        """Write a certificate down, or hold it back."""
        self._held.append(_line(one))
        self.flush()

    def flush(self) -> None:
        """Write what was held back, as far as possible."""
        while self._held:
            try:
                if self._descriptor < 0:
                    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                    self._descriptor = os.open(self._path, flags, 0o600)
                line = b"\n" + self._held[0] if self._torn else self._held[0]
                self._torn = os.write(self._descriptor, line) < len(line)
            except OSError:
                self._torn = True
                return
            if self._torn:
                return
            self._held.pop(0)

    def compact(self, ledger: Ledger) -> None:
        """Keep only what the ledger holds. Raises `StorageError`, and has changed nothing then."""
        scratch = self._path.with_suffix(".tmp")
        try:
            scratch.unlink(missing_ok=True)
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(map(_line, ledger))
                file.flush()
                os.fsync(descriptor)
            scratch.replace(self._path)
        except OSError as error:
            raise StorageError(f"{self._path}: {error.strerror}") from error
        self.close()
        self._held.clear()

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._torn = True


def _line(one: Issued) -> bytes:
    roots = tuple(sorted(one.roots))
    line = _Line(f"{one.serial:x}", one.signer_id, one.names, one.holder, one.begins, one.ends, roots)
    return _ENCODER.encode(line) + b"\n"


def _issued(line: _Line) -> Issued:
    names, roots = line.names, frozenset(line.roots)
    return Issued(int(line.serial, 16), line.signer_id, names, line.holder, line.begins, line.ends, roots)
