"""The way between a lab and an API server on the other side of its network."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from pilotpy.lab.cluster.way import open_way
from tests.waiting import eventually, until


async def echoing(reader, writer):
    writer.write(b"there: " + await reader.read(100))
    writer.close()


async def asked(path):
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"hello")
    writer.write_eof()
    said = await reader.read()
    writer.close()
    return said


def processes(path):
    """Of the other side, which is known by its arguments."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"pilotpy.lab.cluster.way" in arguments and path.encode() in arguments:
            found.append(int(process.name))
    return found


def test_what_is_said_to_the_socket_comes_to_the_server_until_the_lab_is_gone(tmp_path):
    async def run():
        server = await asyncio.start_server(echoing, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        way, life = open_way(tmp_path / "s", "127.0.0.1", port)
        try:
            assert await until(lambda: asked(way.path), passing=OSError) == b"there: hello"
            assert (way.address, way.port) == ("127.0.0.1", port)
            assert processes(str(port))
        finally:
            os.close(life)
        await until(lambda: not processes(str(port)))
        server.close()

    asyncio.run(run())


def test_a_server_that_is_away_is_a_connection_that_closes(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    way, life = open_way(tmp_path / "s", "127.0.0.1", port)
    try:
        assert asyncio.run(asked(way.path)) == b""
    finally:
        os.close(life)
    eventually(lambda: not processes(str(port)))


def test_a_host_without_an_address_is_told(tmp_path):
    with pytest.raises(OSError, match=r"[Nn]ame"):
        open_way(tmp_path / "s", "nowhere.invalid", 443)


INSIDE = """
import asyncio, sys
from pilotpy.lab.cluster.way import Way, inwards
from pilotpy.lab.network import raise_switch
async def run():
    raise_switch()
    async with await inwards(Way(sys.argv[1], "api.example", "192.0.2.7", 6443)):
        reader, writer = await asyncio.open_connection("api.example", 6443)
        writer.write(b"hello"); writer.write_eof()
        print((await reader.read()).decode())
asyncio.run(run())
"""


@pytest.mark.lab
def test_inside_the_server_has_the_name_and_the_address_that_it_has_outside(tmp_path, namespaces):
    async def run():
        path = str(tmp_path / "s")
        server = await asyncio.start_unix_server(echoing, path)
        command = [*namespaces, sys.executable, "-c", INSIDE, path]
        inside = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            return (await asyncio.wait_for(inside.communicate(), 30))[0]
        finally:
            if inside.returncode is None:
                inside.kill()
                await inside.wait()
            server.close()

    assert asyncio.run(run()).strip() == b"there: hello"
