"""Folders that go with their process, one way or the other."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pilotpy_ca.scratch import ScratchFolder

PROGRAM = """
import signal
from pilotpy_ca.scratch import ScratchFolder
folder = ScratchFolder("mine-")
(folder.path / "file").touch()
print(folder.path, flush=True)
signal.pause()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_a_killed_process_left_is_swept_by_the_next_and_what_others_use_is_not(place):
    environment = os.environ | {"TMPDIR": str(place)}
    processes = [
        subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, env=environment, text=True)
        for _ in range(2)
    ]
    try:
        left, used = (Path(process.stdout.readline().strip()).name for process in processes)
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        (place / "mine-link").symlink_to("/")
        (place / "others").mkdir()
        one = ScratchFolder("mine-")
        assert left != used
        assert {path.name for path in place.iterdir()} == {used, one.path.name, "mine-link", "others"}
        assert one.path.stat().st_mode & 0o777 == 0o700
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()
    one.remove()
    one.remove()
    assert not one.path.exists()
