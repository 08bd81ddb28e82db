"""The TLS front on real sockets: what passes through, and those who try something else."""

import asyncio
import contextlib
import itertools
import os
import socket
import ssl
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

from pilotpy_ca.csr import new_request
from pilotpy_ca.front import Front, FrontLimits
from pilotpy_ca.keys import KeyType, PrivateKey
from pilotpy_ca.server import ServerCertificate
from tests.ca.scenery import SLEEP, keeper, now, played
from tests.waiting import until

NAME = "istiod.istio-system.svc"


def tls(**limits):
    """A front before a listener that tells who came, as `<peer>: <what it sent>`."""

    @contextlib.asynccontextmanager
    async def running():
        kept = keeper(now=now())
        front = Front(lambda leaf_: None, FrontLimits(**limits))

        async def echo(reader, writer):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
            writer.close()

        inner = await asyncio.start_unix_server(echo, front.inner_address.removeprefix("unix:"))
        ServerCertificate(kept.authority, front, [NAME]).keep(now())
        address = await front.start("127.0.0.1:0")
        host, _, port = address.rpartition(":")
        try:
            yield front, kept, (host, int(port))
        finally:
            await front.stop()
            inner.close()

    return running()


def client(kept):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=b"".join(kept.authority.roots).decode())
    return context


def test_megabytes_go_both_ways_unchanged():
    async def play():
        async with tls() as (front, kept, address):
            reader, writer = await asyncio.open_connection(*address, ssl=client(kept), server_hostname=NAME)
            sent = os.urandom(8 << 20)

            async def send():
                writer.write(sent)
                await writer.drain()

            received, _ = await asyncio.gather(reader.readexactly(len(sent)), send())
            assert received == sent
            assert front.connections == 1
            writer.close()
            await until(lambda: not front.connections)

    played(play)


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="HTTP"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2 in plaintext"),
        pytest.param(b"\x16\x03\x01\xff\xff" + bytes(70000), id="a hello without end"),
        pytest.param(b"\x00", id="a zero"),
        pytest.param(b"", id="nothing, and gone"),
    ],
)
def test_what_is_not_tls_is_closed(garbage):
    async def play():
        async with tls(handshake=timedelta(seconds=0.5)) as (front, kept, address):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(garbage)
            if not garbage:
                writer.close()
            async with asyncio.timeout(5):
                with contextlib.suppress(ConnectionError):
                    await reader.read()
            await until(lambda: front.refused)
            writer.close()
            good = await asyncio.open_connection(*address, ssl=client(kept), server_hostname=NAME)
            good[1].close()

    played(play)


def test_those_who_never_finish_a_handshake_are_closed_and_shut_nobody_out():
    async def play():
        limits = {"handshakes": 8, "handshakes_per_address": 4, "handshake": timedelta(seconds=1)}
        async with tls(**limits) as (front, kept, address):
            slow = [await asyncio.open_connection(*address) for _ in range(12)]
            async with asyncio.timeout(10):
                assert await asyncio.gather(*[reader.read() for reader, _ in slow]) == [b""] * 12
            assert front.refused == 12
            good = await asyncio.open_connection(*address, ssl=client(kept), server_hostname=NAME)
            for _, writer in [*slow, good]:
                writer.close()

    played(play)


def test_who_connects_many_times_at_once_takes_no_more_handshakes_than_one_by_one():
    async def play():
        limits = {"handshakes": 32, "handshakes_per_address": 4, "handshake": timedelta(seconds=20)}
        async with tls(**limits) as (front, kept, address):
            crowd = contextlib.ExitStack()
            for _ in range(24):  # none is accepted meanwhile
                crowd.enter_context(socket.create_connection(address))
            with crowd:
                await until(lambda: front.refused == 20)
                source = {"local_addr": ("127.0.0.2", 0), "server_hostname": NAME}
                good = await asyncio.open_connection(*address, ssl=client(kept), **source)
                good[1].close()

    played(play)


def test_others_have_their_turn_while_a_crowd_is_turned_away():
    async def play():
        async with tls(handshakes_per_address=1) as (front, _, address):
            crowd = contextlib.ExitStack()
            for _ in range(200):
                crowd.enter_context(socket.create_connection(address))
            with crowd:
                refused = [0]

                def turn():
                    refused.append(front.refused)
                    if refused[-1] < 199:
                        asyncio.get_running_loop().call_soon(turn)

                turn()
                await until(lambda: refused[-1] == 199)
                assert max(after - before for before, after in itertools.pairwise(refused)) < 10

    played(play)


def test_who_proves_nothing_and_says_nothing_is_closed_and_others_may_be_silent():
    async def play():
        async with tls(silence=timedelta(seconds=0.5)) as (front, kept, address):
            key = PrivateKey.new(KeyType.P256)
            chain = kept.authority.issue(new_request(key), [SLEEP], None, now())
            known = client(kept)
            with tempfile.NamedTemporaryFile() as file:
                file.write(chain.certificates + key.pem())
                file.flush()
                known.load_cert_chain(file.name)
            silent, speaking, proved = [
                await asyncio.open_connection(*address, ssl=context, server_hostname=NAME)
                for context in (client(kept), client(kept), known)
            ]
            speaking[1].write(b"hello")
            assert await speaking[0].readexactly(5) == b"hello"
            async with asyncio.timeout(5):
                assert await silent[0].read() == b""
            await until(lambda: front.refused == 1)
            assert front.connections == 2
            for _, writer in (speaking, proved):
                writer.write(b"again")
            assert [await reader.readexactly(5) for reader, _ in (speaking, proved)] == [b"again"] * 2
            for _, writer in (silent, speaking, proved):
                writer.close()

    played(play)


def test_more_connections_than_allowed_are_closed():
    async def play():
        async with tls(connections=2) as (front, kept, address):
            held = [await asyncio.open_connection(*address, ssl=client(kept), server_hostname=NAME) for _ in range(2)]
            with pytest.raises(OSError):  # noqa: PT011  # reset, or closed within the handshake
                await asyncio.open_connection(*address, ssl=client(kept), server_hostname=NAME)
            assert front.connections == 2
            for _, writer in held:
                writer.close()

    played(play)


def test_one_address_cannot_take_all_connections():
    async def play():
        async with tls(connections_per_address=2) as (front, kept, address):

            async def connected(host):
                source = {"local_addr": (host, 0), "server_hostname": NAME}
                return await asyncio.open_connection(*address, ssl=client(kept), **source)

            held = [await connected("127.0.0.1") for _ in range(2)]
            with pytest.raises(OSError):  # noqa: PT011  # reset, or closed within the handshake
                await connected("127.0.0.1")
            held.append(await connected("127.0.0.2"))
            await until(lambda: front.connections == 3)
            held[0][1].close()
            await until(lambda: front.connections == 2)
            held.append(await connected("127.0.0.1"))
            for _, writer in held:
                writer.close()

    played(play)


@pytest.mark.parametrize(
    ("version", "works"),
    [
        pytest.param(ssl.TLSVersion.TLSv1_3, True, id="1.3"),
        pytest.param(ssl.TLSVersion.TLSv1_2, True, id="1.2"),
        pytest.param(ssl.TLSVersion.TLSv1_1, False, id="1.1"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_is_at_least(version, works):
    async def play():
        async with tls() as (_, kept, address):
            context = client(kept)
            context.minimum_version = context.maximum_version = version
            context.set_ciphers("ALL:@SECLEVEL=0")
            try:
                _, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=NAME)
            except OSError:
                assert not works
                return
            assert works
            assert writer.get_extra_info("ssl_object").version() == version.name.replace("_", ".")
            writer.close()

    played(play)


def test_when_the_inner_server_is_gone_connections_end_and_the_front_lives():
    async def play():
        kept = keeper(now=now())
        front = Front(lambda leaf_: None)
        ServerCertificate(kept.authority, front, [NAME]).keep(now())
        host, _, port = (await front.start("127.0.0.1:0")).rpartition(":")
        for _ in range(2):
            reader, writer = await asyncio.open_connection(host, int(port), ssl=client(kept), server_hostname=NAME)
            assert await reader.read() == b""
            writer.close()
        assert front.refused == 2
        await front.stop()

    played(play)


def opened():
    """What this process has open."""
    links = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            links.append(str(path.readlink()))
    return links


def names_in(folder):
    return [path.name for path in Path(folder).iterdir()]


def test_no_key_is_left_in_a_file_or_an_open_descriptor():
    async def play():
        async with tls() as (front, kept, _):
            ServerCertificate(kept.authority, front, [NAME]).keep(now())
            assert not [path for path in opened() if "memfd:pilotpy" in path]
            assert names_in(front.inner_address.removeprefix("unix:").removesuffix("/inner")) == ["inner"]

    played(play)
