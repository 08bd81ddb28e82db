"""What somebody is told whose machine allows no lab."""

import pytest

from pilotpy.lab import entry


def program(folder, name, text):
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def refusing(tmp_path, monkeypatch):
    """A machine whose unshare always refuses."""
    for name in ("nsenter", "ip", "iptables-restore"):
        program(tmp_path, name, "exit 0")
    program(tmp_path, "unshare", "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1")
    monkeypatch.setattr(entry, "SYSTEM_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_missing_programs_are_named_by_their_packages(tmp_path, monkeypatch):
    monkeypatch.setattr(entry, "SYSTEM_PATH", str(tmp_path))
    with pytest.raises(entry.Forbidden, match="iproute2 iptables util-linux"):
        entry.way_in()


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        pytest.param("0", "enable-clone", id="users may make no namespaces"),
        pytest.param("1", "CAP_SYS_ADMIN", id="nothing but the container's runtime is left"),
    ],
)
def test_a_machine_that_refuses_is_told_with_the_remedy(refusing, monkeypatch, tmp_path, value, remedy):
    file = tmp_path / "switch"
    file.write_text(f"{value}\n")
    monkeypatch.setattr(entry, "_SWITCHES", ((str(file), "0", "enable-clone"),))
    with pytest.raises(entry.Forbidden, match="Operation not permitted") as told:
        entry.way_in()
    assert remedy in str(told.value)


def test_the_first_way_that_works_is_taken(refusing):
    program(refusing, "unshare", 'case "$*" in *--user*) exit 0;; esac; exit 1')
    assert entry.is_own_user(entry.way_in())
