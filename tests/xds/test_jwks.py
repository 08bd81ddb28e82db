"""Keys fetched over HTTP: what is taken, and what never is, whatever address a user or a server names."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotpy.model.key_set import KeySource
from pilotpy.xds.jwks import LARGEST, Door, Refused, fetched, networks

KEYS = {"keys": [{"kty": "oct", "k": "AA"}]}
METADATA = "http://169.254.169.254/latest"

Answer = Callable[[str, str], bytes | None]  # (path, own address) to an answer; None: none ever comes


def plain(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def keys(_path: str, _own: str) -> bytes:
    return plain(json.dumps(KEYS).encode())


def chunked(_path: str, _own: str) -> bytes:
    body = json.dumps(KEYS).encode()
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def moved_to(target: str) -> Answer:
    def answer(path: str, own: str) -> bytes:
        return plain(b"", "302 Found", f"Location: {target}") if path != "/there" else keys(path, own)

    return answer


def described(path: str, own: str) -> bytes:
    if path == "/.well-known/openid-configuration":
        return plain(json.dumps({"jwks_uri": f"{own}/keys"}).encode())
    return keys(path, own) if path == "/keys" else plain(b"", "404 Not Found")


@contextlib.asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[str]:
    """A server of HTTP on loopback, as bad as the test wants it; gives its address."""
    own = ""
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            found = answer(head.split()[1], own)
            if found is None:
                await reader.read()
            else:
                writer.write(found)
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        own = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield own
        listening.close()
        await asyncio.gather(*served)


def ask(answer: Answer, path: str = "/keys", *, door: Door | None = None, discover: bool = False) -> str:
    async def asking() -> str:
        async with server(answer) as own:
            patience = timedelta(seconds=0.3)
            source = KeySource("", own, patience) if discover else KeySource(own + path, "", patience)
            return await fetched(source, door or Door())

    return asyncio.run(asking())


@pytest.mark.parametrize(
    ("answer", "discover"),
    [
        pytest.param(keys, False, id="keys at their address"),
        pytest.param(chunked, False, id="keys in chunks"),
        pytest.param(moved_to("/there"), False, id="keys after a redirect"),
        pytest.param(described, True, id="keys that the issuer's description names"),
    ],
)
def test_keys_are_fetched(answer, discover):
    assert json.loads(ask(answer, discover=discover)) == KEYS


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(moved_to(METADATA), "not fetched from", id="a redirect to a cloud's metadata"),
        pytest.param(moved_to("http://[::ffff:169.254.169.254]/"), "not fetched from", id="the same within IPv6"),
        pytest.param(moved_to("http://[64:ff9b::a9fe:a9fe]/"), "not fetched from", id="the same, translated"),
        pytest.param(moved_to("http://[fe80::1]/"), "not fetched from", id="a redirect to the link"),
        pytest.param(moved_to("file:///etc/passwd"), "not of http", id="a redirect to a file"),
        pytest.param(moved_to("/elsewhere"), "redirects", id="redirects without end"),
        pytest.param(moved_to("http://[::1/"), "leads nowhere", id="a redirect to nowhere"),
        pytest.param(moved_to("/caf\u00e9"), "not of ASCII", id="a redirect to letters that are not of ASCII"),
        pytest.param(moved_to("/a b"), "not HTTP", id="a redirect to what is no path"),
        pytest.param(lambda *_: None, "no answer within 0.3 s", id="silence"),
        pytest.param(lambda *_: plain(b"", "500 Oops"), "status 500", id="a failure"),
        pytest.param(lambda *_: plain(b"<html>"), "no JSON object", id="something else"),
        pytest.param(lambda *_: plain(b'{"keys": 1}'), "no JSON Web Key Set", id="JSON that is no key set"),
        pytest.param(lambda *_: plain(b"[" * 100_000), "no JSON object", id="JSON of great depth"),
        pytest.param(lambda *_: plain(b" " * (LARGEST + 1)), "larger than", id="a body without end"),
        pytest.param(lambda *_: b"SSH-2.0-x\r\n\r\n", "not HTTP", id="another protocol"),
        pytest.param(lambda *_: b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50_000, "not HTTP", id="headers without end"),
        pytest.param(lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "not HTTP", id="half an answer"),
    ],
)
def test_an_answer_is_refused(answer, why):
    with pytest.raises(Refused, match=why):
        ask(answer)


@pytest.mark.parametrize(
    "uri",
    [
        METADATA,
        "http://[::ffff:a9fe:a9fe]/",
        "http://2852039166/",  # 169.254.169.254 as one number
        "http://0/",
        "http://" + "a" * 300 + ".example/",
        "http://x y/",
        "gopher://127.0.0.1/",
        "http://[::1/",
    ],
)
def test_an_address_is_refused(uri):
    with pytest.raises(Refused):
        asyncio.run(fetched(KeySource(uri, "", timedelta(seconds=2)), Door()))


@given(rest=st.text(st.characters(exclude_characters="@"), max_size=40))
def test_whatever_is_written_after_an_address_is_refused(rest):
    shut = Door(blocked=networks(["0.0.0.0/0", "::/0"]))
    with pytest.raises(Refused):
        asyncio.run(fetched(KeySource(f"http://127.0.0.1:1/{rest}", "", timedelta(seconds=2)), shut))


def test_ranges_that_an_operator_blocks_are_refused():
    with pytest.raises(Refused, match="not fetched from"):
        ask(keys, door=Door(blocked=networks(["127.0.0.0/8"])))


def test_ranges_are_read():
    assert networks([" 10.0.0.0/8", "", "fd00::/8"]) == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
