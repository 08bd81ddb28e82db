"""Real files, real inotify, writers that dawdle."""

import asyncio
import errno
import fcntl
import os
import random
import shutil
import time
from contextlib import ExitStack
from datetime import timedelta
from functools import wraps

import pytest

from pilotpy.sources import folder
from pilotpy.sources.disk import Disk
from tests.sources.following import following, service

NEEDS_LEASES = {
    "test_a_writer_who_began_before_us_is_waited_for",
    "test_a_writer_in_a_folder_that_was_just_made_is_waited_for",
    "test_a_hard_link_is_there_at_once",
}
"""Where the kernel does not tell who has a file open, only writers whose beginning was seen are waited for."""


@pytest.fixture(autouse=True, params=["with leases", "without leases"])
def leases(request, monkeypatch):
    """Local file systems tell who has a file open for writing; NFS, for one, does not."""
    if request.param == "with leases":
        return
    if request.function.__name__ in NEEDS_LEASES:
        pytest.skip("nobody could know")

    def refuse(descriptor, command, argument):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(fcntl, "fcntl", refuse)


def scene(test):
    """A test that follows."""

    @wraps(test)
    def acted(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    return acted


@scene
async def test_what_is_there_comes_first_and_an_edit_follows(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(service("a", 80))
    async with following(tmp_path) as follower:
        assert follower.services == {"a": 80}
        file.write_text(service("a", 81))
        await follower.until_services(a=81)


@scene
async def test_a_file_is_not_read_while_somebody_writes_it(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(service("a", 80) + service("b", 80))
    async with following(tmp_path) as follower:
        with file.open("w") as writer:
            writer.write(service("a", 81))
            writer.flush()
            await follower.quiet(tmp_path)
            writer.write(service("b", 81))
        await follower.until_services(a=81, b=81)
        assert follower.history == [("a", 80), ("b", 80), ("a", 81), ("b", 81)]


@scene
async def test_a_writer_who_began_before_us_is_waited_for(tmp_path):
    with (tmp_path / "a.yaml").open("w") as writer:
        writer.write(service("a"))
        writer.flush()
        async with following(tmp_path) as follower:
            assert follower.services == {}
            writer.write(service("b"))
            writer.close()
            await follower.until_services(a=80, b=80)


@scene
async def test_a_writer_in_a_folder_that_was_just_made_is_waited_for(tmp_path):
    async with following(tmp_path) as follower:
        inner = tmp_path / "x" / "y"
        inner.mkdir(parents=True)
        with (inner / "a.yaml").open("w") as writer:
            writer.write(service("a"))
            writer.flush()
            await follower.quiet(tmp_path)
            assert follower.services == {}
            writer.write(service("b"))
        await follower.until_services(a=80, b=80)


@scene
async def test_files_in_folders_that_were_just_made_are_found(tmp_path):
    async with following(tmp_path) as follower:
        for depth in range(1, 40):
            inner = tmp_path.joinpath(*map(str, range(depth)))
            inner.mkdir()
            (inner / "a.yaml").write_text(service(f"s{depth}"))
        await follower.until(lambda: len(follower.services) == 39)


@scene
async def test_renaming_over_a_file_is_an_edit(tmp_path):
    file, new = tmp_path / "a.yaml", tmp_path / "a.yaml.tmp"
    file.write_text(service("a", 80))
    async with following(tmp_path) as follower:
        new.write_text(service("a", 81))
        new.replace(file)
        await follower.until_services(a=81)
        assert follower.history == [("a", 80), ("a", 81)]


@scene
async def test_an_editor_that_moves_the_old_file_away_first_removes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "GRACE", timedelta(seconds=0.5))  # for a machine that does other things too
    file = tmp_path / "a.yaml"
    file.write_text(service("a", 80))
    async with following(tmp_path) as follower:
        file.rename(tmp_path / "a.yaml~")
        await follower.noticed(tmp_path)
        with file.open("w") as writer:
            writer.write("---\n")
            writer.flush()
            await follower.quiet(tmp_path)
            writer.write(service("a", 81))
        (tmp_path / "a.yaml~").unlink()
        await follower.until_services(a=81)
        assert follower.history == [("a", 80), ("a", 81)]


@scene
async def test_a_file_that_stays_away_takes_its_objects_with_it(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(service("a"))
    (tmp_path / "b.yaml").write_text(service("b"))
    async with following(tmp_path) as follower:
        file.unlink()
        await follower.until_services(b=80)


@scene
async def test_a_file_that_moves_keeps_its_objects(tmp_path):
    (tmp_path / "a.yaml").write_text(service("a"))
    (tmp_path / "x").mkdir()
    async with following(tmp_path) as follower:
        (tmp_path / "a.yaml").rename(tmp_path / "x" / "b.yaml")
        await follower.until(lambda: (w := follower.folder.where(next(iter(follower.objects)))) and "/x/" in w.file)
        await follower.quiet(tmp_path)
        assert follower.history == [("a", 80)]
        assert follower.findings == []


@scene
async def test_folders_come_and_go_with_all_that_is_in_them(tmp_path):
    outside = tmp_path / "outside" / "x"
    outside.mkdir(parents=True)
    (outside / "a.yaml").write_text(service("a"))
    root = tmp_path / "root"
    root.mkdir()
    async with following(root) as follower:
        outside.rename(root / "x")
        await follower.until_services(a=80)
        (root / "x" / "b.yml").write_text(service("b"))
        await follower.until_services(a=80, b=80)
        (root / "x").rename(root / "y")
        (root / "y" / "b.yml").write_text(service("b", 81))
        await follower.until_services(a=80, b=81)
        (root / "y").rename(outside)
        await follower.until_services()
        (outside / "a.yaml").write_text(service("a", 82))
        await follower.quiet(root)


@scene
async def test_a_mounted_config_map_changes_as_a_whole(tmp_path):
    def publish(version: str, port: int) -> None:
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "a.yaml").write_text(service("a", port))
        (tmp_path / "..data_tmp").symlink_to(f"..{version}")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    publish("one", 80)
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    async with following(tmp_path) as follower:
        publish("two", 81)
        shutil.rmtree(tmp_path / "..one")
        await follower.until_services(a=81)
        assert follower.history == [("a", 80), ("a", 81)]


@scene
async def test_a_link_to_a_file_elsewhere_is_followed(tmp_path):
    target, root = tmp_path / "target.yaml", tmp_path / "root"
    target.write_text(service("a"))
    root.mkdir()
    (root / "link.yaml").symlink_to(target)
    async with following(root) as follower:
        target.write_text(service("a", 81))
        await follower.until_services(a=81)


@scene
async def test_a_hard_link_is_there_at_once(tmp_path):
    (tmp_path / "a.txt").write_text(service("a"))
    async with following(tmp_path) as follower:
        os.link(tmp_path / "a.txt", tmp_path / "a.yaml")
        await follower.until_services(a=80)


@scene
async def test_a_single_file_is_followed_and_its_neighbours_are_not(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text(service("a"))
    async with following(file) as follower:
        (tmp_path / "b.yaml").write_text(service("b"))
        file.write_text(service("a", 81))
        await follower.until_services(a=81)
        assert follower.history == [("a", 80), ("a", 81)]


@scene
async def test_a_folder_that_vanishes_keeps_what_it_said_and_may_come_back(tmp_path):
    root = tmp_path / "deep" / "root"
    root.mkdir(parents=True)
    (root / "a.yaml").write_text(service("a"))
    async with following(root) as follower:
        shutil.rmtree(tmp_path / "deep")
        await follower.until(lambda: follower.findings == [("root", 0, "PP0001")])
        assert follower.services == {"a": 80}
        root.mkdir(parents=True)
        (root / "a.yaml").write_text(service("a", 81))
        await follower.until_services(a=81)
        assert follower.findings == []


@scene
async def test_a_folder_that_does_not_exist_yet_is_waited_for(tmp_path):
    async with following(tmp_path / "a" / "b") as follower:
        assert [code for *_, code in follower.findings] == ["PP0001"]
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "b" / "a.yaml").write_text(service("a"))
        await follower.until_services(a=80)


@scene
async def test_a_file_that_breaks_is_told_and_keeps_its_objects(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(service("a"))
    async with following(tmp_path) as follower:
        file.write_text("a: [\n")
        await follower.until(lambda: follower.findings)
        assert follower.services == {"a": 80}
        file.write_text(service("a", 81))
        await follower.until_services(a=81)
        assert follower.findings == []


@scene
async def test_hidden_files_and_those_of_other_names_are_passed_over(tmp_path):
    async with following(tmp_path) as follower:
        for name in (".a.yaml", "a.txt", "a.yaml.swp", ".git/a.yaml"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(service("a"))
        await follower.quiet(tmp_path)
        assert follower.services == {}


@scene
async def test_a_thousand_files_at_once_are_all_read(tmp_path):
    async with following(tmp_path) as follower:
        for i in range(1000):
            (tmp_path / f"{i % 7}").mkdir(exist_ok=True)
            (tmp_path / f"{i % 7}" / f"{i}.yaml").write_text(service(f"s{i}"))
        await follower.until(lambda: len(follower.services) == 1000, within=20)


@scene
async def test_what_somebody_begins_to_write_while_it_is_read_is_thrown_away(tmp_path, monkeypatch):
    file = tmp_path / "a.yaml"
    file.write_text(service("a", 80) + service("b", 80))
    with ExitStack() as writers:

        def look(self, only=None, *, written=None, real=Disk.look):
            if only and not begun:
                begun.append(writers.enter_context(file.open("w")))
                begun[0].write(service("a", 82))
                begun[0].flush()
            return real(self, only, written=written)

        begun = []
        monkeypatch.setattr(Disk, "look", look)
        async with following(tmp_path) as follower:
            file.write_text(service("a", 81) + service("b", 81))
            await follower.quiet(tmp_path)
            begun[0].write(service("b", 82))
            begun[0].close()
            await follower.until_services(a=82, b=82)
            assert follower.history == [("a", 80), ("b", 80), ("a", 82), ("b", 82)]


@scene
async def test_no_state_between_two_whole_ones_is_ever_seen(tmp_path):
    file = tmp_path / "a.yaml"
    chance = random.Random(7)

    def write() -> None:
        """In place, in pieces, each time as soon as can be after the last."""
        for port in range(1, 60):
            with file.open("wb", buffering=0) as writer:
                for i in range(10):
                    writer.write(service(f"s{i}", port).encode())
                    if chance.random() < 0.2:
                        time.sleep(chance.random() / 100)

    file.write_text("".join(service(f"s{i}", 99) for i in range(10)))
    async with following(tmp_path) as follower:
        writing = asyncio.create_task(asyncio.to_thread(write))
        while not writing.done() or set(follower.services.values()) != {59}:
            await follower.until(follower.heard)
            assert len(follower.services) == 10
            assert len(set(follower.services.values())) == 1
            assert follower.findings == []
