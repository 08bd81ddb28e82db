"""How commands reach the process that keeps the keys: a Unix socket in the keys' folder, one command a connection.

Who the process runs as may command: the socket is 0600, in a folder that is made 0700. Without such a process a command
opens the folder itself. So the keys are only ever in one process. JSON, a line each way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import msgspec

from pilotpy_ca.clock import Clock, system_clock
from pilotpy_ca.commands import Answer, Command, Failed, answer
from pilotpy_ca.errors import Locked, StorageError
from pilotpy_ca.keeper import Keeper, Source
from pilotpy_ca.ledger_file import LedgerFile
from pilotpy_ca.plugged_in import PluggedInFolder
from pilotpy_ca.storage import FolderStorage
from pilotpy_ca.terms import Terms

_SOCKET: Final = "control.sock"
_LEDGER: Final = "issued.jsonl"
_LONGEST: Final = 64 << 10
_PATIENCE: Final = 30.0  # seconds
_ANSWERS: Final[msgspec.json.Decoder[Answer]] = msgspec.json.Decoder(Answer)


@contextlib.contextmanager
def opened(folder: Path, terms: Terms, plugged_in: Path | None = None, clock: Clock = system_clock) -> Iterator[Keeper]:
    """The keeper of a folder's keys, for this process alone. Raises `Locked`, `StorageError`, `BundleError`."""
    storage = FolderStorage(folder)
    try:
        given = PluggedInFolder(plugged_in) if plugged_in is not None else None
        keeper = Keeper(Source(storage, given, LedgerFile(folder / _LEDGER)), terms, clock())
        try:
            yield keeper
        finally:
            keeper.close()
    finally:
        storage.close()


@contextlib.asynccontextmanager
async def controlled(folder: Path, keeper: Keeper, clock: Clock = system_clock) -> AsyncIterator[None]:
    """Take commands for a keeper, as long as the context lasts. Raises `OSError`."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                command = msgspec.json.decode(await reader.readline(), type=Command)
                said = answer(keeper, command, clock())
        except msgspec.DecodeError as error:
            said = Failed(f"not a command: {error}")
        except (TimeoutError, ValueError, OSError):
            said = Failed("no command came")
        with contextlib.suppress(OSError):
            writer.write(msgspec.json.encode(said) + b"\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(take, sock=_listener(folder), limit=_LONGEST)
    try:
        yield
    finally:
        server.close()
        (folder / _SOCKET).unlink(missing_ok=True)


def ask(folder: Path, command: Command, terms: Terms, plugged_in: Path | None = None) -> Answer:
    """Have a command done by whoever keeps the folder's keys, or here if nobody does.

    Raises `StorageError`, `BundleError`; `Locked` if somebody keeps them and takes no commands.
    """
    if (said := _sent(folder, command)) is not None:
        return said
    if plugged_in is None and not any((folder / name).exists() for name in ("..data", "ca-cert.pem")):
        raise StorageError(f"{folder}: there are no keys, and a question is no reason to make some")
    with opened(folder, terms, plugged_in) as keeper:
        return answer(keeper, command, system_clock())


def _sent(folder: Path, command: Command) -> Answer | None:
    """The answer of the process that keeps the keys; None if there is none. Raises `Locked`, `StorageError`."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        try:
            with _short(folder) as path:
                connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return None
        except OSError as error:
            raise StorageError(f"{folder / _SOCKET}: {error.strerror}") from error
        try:
            connection.sendall(msgspec.json.encode(command) + b"\n")
            with connection.makefile("rb") as lines:
                return _ANSWERS.decode(lines.readline())
        except (OSError, msgspec.DecodeError) as error:
            raise Locked(f"{folder}: the process that keeps the keys did not answer: {error}") from error


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """The socket's path, by way of an open folder: a socket's path may have 107 bytes, a folder's may have more."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{_SOCKET}"
    finally:
        os.close(descriptor)


def _listener(folder: Path) -> socket.socket:
    # Whoever has the folder's lock owns the name; one that is there was left by a process that died.
    (folder / _SOCKET).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    os.fchmod(listener.fileno(), 0o600)  # the file that `bind` makes gets this mode: at no moment is it another's
    with _short(folder) as path:
        listener.bind(path)
    return listener
