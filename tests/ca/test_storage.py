"""Folders of keys: whole or not at all, for one process, readable by nobody else."""

import errno
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from pilotpy_ca import storage as module
from pilotpy_ca.errors import Conflict, Locked, StorageError
from pilotpy_ca.journal import State, files_of, state_of
from pilotpy_ca.ledger import Issued, Ledger
from pilotpy_ca.ledger_file import LedgerFile
from pilotpy_ca.storage import FolderStorage
from tests.ca.scenery import CSR, DAY, NOW, SLEEP, MemoryStorage, cacerts, keeper, root, slots, trusts

FILES = {"journal.json": b"{}", "ca-key.pem": b"secret"}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "ca"


def test_what_was_saved_is_loaded(folder):
    storage = FolderStorage(folder)
    version = storage.save(FILES, storage.load().version)
    assert storage.load() == (FILES, version)
    version = storage.save({"journal.json": b"[]"}, version)
    assert storage.load() == ({"journal.json": b"[]"}, version)
    assert not (folder / "ca-key.pem").exists()
    assert sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.is_symlink()) == [version]


def test_nobody_else_may_read_it(folder):
    storage = FolderStorage(folder)
    storage.save(FILES, "")
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_one_process_has_it(folder):
    held = FolderStorage(folder)
    with pytest.raises(Locked):
        FolderStorage(folder)
    held.close()
    FolderStorage(folder).close()


def test_a_process_that_is_killed_lets_it_go(folder):
    program = f"""
import pathlib, signal
from pilotpy_ca.storage import FolderStorage
held = FolderStorage(pathlib.Path({str(folder)!r}))
print("held", flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(Locked):
            FolderStorage(folder)
        process.kill()
        process.wait()
    FolderStorage(folder).close()


def test_a_write_after_somebody_elses_is_a_conflict(folder):
    storage = FolderStorage(folder)
    storage.save(FILES, "")
    with pytest.raises(Conflict):
        storage.save(FILES, "")


@pytest.mark.parametrize("fails_at", range(1, 8), ids=lambda number: f"at the {number}. write to disk")
def test_a_full_disk_leaves_what_was_there(folder, monkeypatch, fails_at):
    storage = FolderStorage(folder)
    version = storage.save(FILES, "")
    real, calls = os.fsync, []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) == fails_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(module.os, "fsync", fsync)
    after = dict.fromkeys(FILES, b"new")
    try:
        storage.save(after, version)
    except StorageError:
        assert storage.load() == (FILES, version)
        assert b"new" not in b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    else:
        assert storage.load().files == after


def test_a_write_that_was_cut_off_is_as_if_it_never_was(folder):
    storage = FolderStorage(folder)
    version = storage.save(FILES, "")
    (folder / "..000002").mkdir()
    (folder / "..000002" / "ca-key.pem").write_bytes(b"half a k")
    assert storage.load() == (FILES, version)
    storage.save({"journal.json": b"[]"}, version)
    assert storage.load().files == {"journal.json": b"[]"}


def test_a_link_to_nowhere_is_an_error_and_no_reason_for_a_new_root(folder):
    storage = FolderStorage(folder)
    keeper(storage)
    (folder / "..data").unlink()
    (folder / "..data").symlink_to("..000099")
    with pytest.raises(StorageError):
        keeper(storage)


def test_istiods_files_are_taken_over(folder):
    signer = root()
    folder.mkdir()
    for name, content in cacerts(signer).items():
        (folder / name).write_bytes(content)
    assert keeper(FolderStorage(folder)).authority.slots.active.signer.id == signer.id


def test_a_state_survives_being_stored():
    kept = keeper()
    kept.authority.issue(*_order())
    kept.revoke(SLEEP, NOW, "lost", ban=True)
    kept.revoke(0x1234, NOW)
    kept.rotate(NOW)
    kept.token_key()
    again = keeper(kept._storage)
    assert again.authority.revocations == kept.authority.revocations
    assert again.authority.roots == kept.authority.roots
    assert again.token_key().public == kept.token_key().public


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        pytest.param({"journal.json": b"{"}, "journal.json", id="a journal that is no JSON"),
        pytest.param({"journal.json": b'{"slots": []'}, "journal.json", id="a journal that is cut off"),
        pytest.param({"ca-key.pem": None}, "ca-key.pem is missing", id="a key that is missing"),
        pytest.param({"ca-key.pem": b""}, "not a private key", id="a key that is empty"),
        pytest.param({"ca-key.pem": root().key.pem()}, "not the one of", id="the key of another root"),
        pytest.param({"ca-cert.pem": b"-----BEGIN"}, "ca-cert.pem", id="a certificate that is cut off"),
        pytest.param({"token-key.pem": b"x"}, "token-key.pem", id="a key of tokens that is none"),
    ],
)
def test_what_cannot_be_read_is_never_replaced(broken, reason):
    files = files_of(State(slots(root()), token_key=root().key))
    for name, content in broken.items():
        files.pop(name)
        if content is not None:
            files[name] = content
    storage = MemoryStorage(files)
    with pytest.raises(StorageError, match=reason) as raised:
        keeper(storage)
    assert "PRIVATE" not in str(raised.value)
    assert storage.files == files


def test_no_files_are_no_state():
    assert state_of({}, NOW) is None


def issued(serial, name=SLEEP, holder="", ends=NOW + DAY):
    return Issued(serial, "signer", (name,), holder, NOW, ends, frozenset({"root"}))


def test_a_ledger_is_on_disk_and_back(tmp_path):
    book = LedgerFile(tmp_path / "issued.jsonl")
    many = [issued(2**150 + number) for number in range(3)]
    for one in many:
        book.append(one)
    assert LedgerFile(tmp_path / "issued.jsonl").read() == tuple(many)
    assert stat.S_IMODE((tmp_path / "issued.jsonl").stat().st_mode) == 0o600


def test_a_line_that_was_cut_off_costs_only_itself(tmp_path):
    path = tmp_path / "issued.jsonl"
    book = LedgerFile(path)
    book.append(issued(1))
    book.append(issued(2))
    path.write_bytes(path.read_bytes()[:-20])
    again = LedgerFile(path)
    again.append(issued(3))
    assert [one.serial for one in LedgerFile(path).read()] == [1, 3]


def test_what_a_full_disk_does_not_take_is_written_when_there_is_room(tmp_path, monkeypatch):
    book = LedgerFile(tmp_path / "issued.jsonl")
    book.append(issued(1))
    real = os.write

    def full(_descriptor, _content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    book.append(issued(2))
    assert book.held_back == 1
    monkeypatch.setattr(os, "write", real)
    book.append(issued(3))
    assert book.held_back == 0
    assert [one.serial for one in LedgerFile(tmp_path / "issued.jsonl").read()] == [1, 2, 3]


def test_a_ledger_is_compacted_to_what_still_counts(tmp_path):
    book = LedgerFile(tmp_path / "issued.jsonl")
    for number in range(10):
        book.append(issued(number))
    book.compact(Ledger([issued(7)]))
    book.append(issued(11))
    assert [one.serial for one in LedgerFile(tmp_path / "issued.jsonl").read()] == [7, 11]


def _order(now=NOW):
    return CSR, [SLEEP], None, now


def _now():
    return datetime.now(UTC)


ROTATE_FOR_EVER = """
import dataclasses, pathlib, sys
from datetime import UTC, datetime
from pilotpy_ca.control import opened
from pilotpy_ca.keys import KeyType
from pilotpy_ca.terms import Terms
with opened(pathlib.Path(sys.argv[1]), Terms(key_type=KeyType.P256)) as keeper:
    for number in range(10_000):
        if number % 5 == 0:
            print(number, flush=True)
        now = datetime.now(UTC)
        keeper.rotate(now, at_once=True)
        keeper.tick(now)
        for slot in keeper.authority.slots.old:
            keeper.drop(slot.signer.id)
        keeper.tick(now)
"""


def test_killed_at_any_moment_of_a_rotation_it_starts_again(folder):
    for lines in range(1, 6):
        with subprocess.Popen([sys.executable, "-c", ROTATE_FOR_EVER, str(folder)], stdout=subprocess.PIPE) as process:
            for _ in range(lines):
                assert process.stdout.readline()
            process.kill()
            process.wait()
        storage = FolderStorage(folder)
        kept = keeper(storage)
        assert trusts(kept.authority.roots, kept.authority.issue(*_order(_now())), _now())
        storage.close()
        assert len([path for path in folder.iterdir() if path.name.startswith("..0")]) <= 2
