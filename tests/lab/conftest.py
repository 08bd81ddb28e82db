"""Labs for tests, each with files of its own, so that they disturb nobody's."""

import json
import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from pilotpy.lab import commands, entry


@pytest.fixture(scope="session")
def namespaces():
    """The way into namespaces of one's own; without it there is no lab to test."""
    try:
        return entry.way_in()
    except entry.Forbidden as forbidden:
        pytest.skip(str(forbidden))


class Lab:
    """A running lab and its folder."""

    def __init__(self, folder, home):
        self.folder = folder
        self.home = home
        self.state = None

    def up(self, *publish):
        published = [commands.Publish.of(text) for text in publish]
        self.state = commands.up_detached([self.folder], published, timedelta(seconds=40))
        return self

    def write(self, name, text):
        """Replace a manifest as editors do, as a whole."""
        new = self.folder / f".{name}.new"
        new.write_text(text)
        new.replace(self.folder / name)

    def run(self, pod, *command, check=True):
        ran = subprocess.run(commands.command_in(pod, command), capture_output=True, text=True, check=False, timeout=50)
        assert not check or ran.returncode == 0, ran.stderr
        return ran.stdout

    def curl(self, pod, *arguments):
        return json.loads(self.run(pod, "curl", "-sS", "--max-time", "20", *arguments))


@pytest.fixture(scope="module")
def lab(namespaces, tmp_path_factory):
    """A lab that is not up yet, and that is down afterwards."""
    home = tmp_path_factory.mktemp("run")
    folder = tmp_path_factory.mktemp("mesh")
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(home)
    try:
        yield Lab(folder, home)
    finally:
        commands.down()
        os.environ.pop("XDG_RUNTIME_DIR")
        if before is not None:
            os.environ["XDG_RUNTIME_DIR"] = before


def processes():
    """Every process of the machine, by process namespace."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found.setdefault((folder / "ns/pid").readlink().name, set()).add(int(folder.name))
        except OSError:
            continue
    return found
