"""What a look at the disk finds, and what it leaves alone."""

import errno
import fcntl

import pytest

from pilotpy.sources.disk import Disk


@pytest.fixture
def disk(tmp_path):
    return Disk([tmp_path])


@pytest.fixture
def no_leases(monkeypatch):
    """A file system that cannot tell who has a file open, such as NFS."""

    def refuse(descriptor, command, argument):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(fcntl, "fcntl", refuse)


def test_a_look_finds_what_differs_from_the_last_one_that_was_accepted(disk, tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("one")
    assert {path: found.text for path, found in disk.look().contents.items()} == {file: b"one"}
    assert disk.look().contents  # not accepted yet
    disk.accept(disk.look())
    assert not disk.look().contents
    file.write_text("two")
    assert {path: found.text for path, found in disk.look().contents.items()} == {file: b"two"}
    file.unlink()
    assert disk.look().gone == {file}


def test_a_file_that_is_named_is_read_whether_it_looks_different_or_not(disk, tmp_path):
    (tmp_path / "a.yaml").write_text("one")
    disk.accept(disk.look())
    assert disk.look({tmp_path / "a.yaml"}).contents


@pytest.mark.parametrize("mode", ["w", "a", "r+"])
def test_with_care_a_file_that_is_open_for_writing_is_neither_new_nor_gone(disk, tmp_path, mode):
    file = tmp_path / "a.yaml"
    file.write_text("one")
    disk.accept(disk.look())
    with file.open(mode) as writer:
        writer.write("half")
        writer.flush()
        look = disk.look(written=())
        assert (look.contents, look.gone) == ({}, frozenset())
        assert disk.look().contents  # who asks once takes what is there
    assert disk.look(written=()).contents


def test_a_reader_of_a_file_does_not_count_as_a_writer(disk, tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("one")
    with file.open():
        assert disk.look(written=()).contents


@pytest.mark.usefixtures("no_leases")
def test_where_the_system_does_not_tell_who_writes_what_was_seen_counts(disk, tmp_path):
    one, two = tmp_path / "a.yaml", tmp_path / "b.yaml"
    one.write_text("one")
    two.write_text("two")
    (tmp_path / "c.yaml").touch()
    assert set(disk.look(written={one}).contents) == {two}
