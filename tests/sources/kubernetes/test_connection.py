"""Ways to log in, and what an API server's refusals come to."""

import asyncio
import gzip
import socket
import sys
from datetime import timedelta

import pytest
import yaml

from pilotpy.sources.kubernetes.connection import Connection, connected, watchful_socket
from pilotpy.sources.kubernetes.login import default_login, written_login
from pilotpy.sources.kubernetes.trouble import Refused, TooMuch, Unreachable, Unusable
from tests.sources.kubernetes.server import Answer, Server, failure, listing, stream

EXEC = "client.authentication.k8s.io/v1"


def kubeconfig(server, user):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


def asked(script, ask, user=None, path=None):
    """What comes of asking a server that follows a script, and the tokens that it was shown."""

    async def story():
        server = Server(script)
        async with server.running():
            written = kubeconfig(server.url, user or {})
            if path is not None:
                path.write_text(yaml.safe_dump(written))
            login = default_login(path) if path is not None else written_login(written)
            async with connected(login) as connection:
                return await ask(connection), server.tokens

    return asyncio.run(story())


def read(connection):
    return connection.ask("GET", "/api", patience=timedelta(seconds=0.5))


def test_a_token_of_a_kubeconfig_is_shown(tmp_path):
    body, tokens = asked([listing("1")], read, {"token": "abc"}, tmp_path / "config")
    assert (body[:1], tokens) == (b"{", ["Bearer abc"])


def test_a_program_is_asked_for_a_token_and_again_when_it_is_refused(tmp_path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "import json, pathlib\n"
        f"count = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "turn = int(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text(str(turn))\n"
        f"print(json.dumps(dict(apiVersion={EXEC!r}, kind='ExecCredential', status=dict(token='turn-%d' % turn))))\n"
    )
    user = {"exec": {"apiVersion": EXEC, "command": sys.executable, "args": [str(plugin)]}}
    _, tokens = asked([failure(401, "Unauthorized"), listing("1")], read, user)
    assert tokens == ["Bearer turn-1", "Bearer turn-2"]


def test_who_is_refused_twice_is_told():
    with pytest.raises(Refused) as refused:
        asked([failure(401, "Unauthorized")] * 2, read, {"token": "abc"})
    assert refused.value.status == 401


@pytest.mark.parametrize(
    ("answer", "status", "reason", "after"),
    [
        (failure(409, "AlreadyExists"), 409, "AlreadyExists", None),
        (failure(429, "TooManyRequests", Retry_After="7"), 429, "TooManyRequests", timedelta(seconds=7)),
        (failure(503, Retry_After="soon"), 503, "", None),
        (failure(503, Retry_After="86400"), 503, "", timedelta(minutes=1)),
        (Answer(502, b"<html>bad gateway</html>"), 502, "", None),
        (Answer(500, b""), 500, "", None),
    ],
)
def test_a_refusal_says_why(answer, status, reason, after):
    with pytest.raises(Refused) as refused:
        asked([answer], read)
    assert (refused.value.status, refused.value.reason, refused.value.retry_after) == (status, reason, after)


@pytest.mark.parametrize(
    "answer",
    [Answer(chunked=True, ending="stall"), Answer(body=b"half", chunked=True, ending="cut")],
    ids=["nothing comes", "the connection breaks"],
)
def test_no_answer_is_trouble(answer):
    with pytest.raises(Unreachable):
        asked([answer], read)


def watched(connection):
    return anext(connection.lines("/api", {"watch": "1"}, timedelta(seconds=5)))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("ask", [read, watched], ids=["a request", "a watch"])
def test_nobody_is_asked_but_the_server_that_one_is_logged_in_to(ask, status):
    async def story():
        async with Server([listing("1"), listing("1")]).running() as elsewhere:
            moved = Answer(status, headers=(f"Location: {elsewhere.url}/latest/meta-data",))
            async with Server([moved, listing("1")]).running() as server:
                login = written_login(kubeconfig(server.url, {"token": "abc"}))
                async with connected(login) as connection:
                    with pytest.raises(Refused, match=r"sends elsewhere, to .*/latest/meta-data") as refused:
                        await ask(connection)
                    assert await read(connection), "and it is asked again"
            assert (refused.value.status, elsewhere.asked, elsewhere.tokens) == (status, [], [])

    asyncio.run(story())


def test_what_was_not_asked_for_is_no_success():
    with pytest.raises(Refused, match=r"^304"):
        asked([Answer(304)], read)


LARGE = b" " * 3_000_000


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=LARGE),
        Answer(body=LARGE, chunked=True, ending="stall"),
        Answer(body=gzip.compress(LARGE), headers=("Content-Encoding: gzip",)),
    ],
    ids=["by its length", "without end", "once it is unpacked"],
)
def test_an_answer_that_is_too_large_is_left(answer):
    def asking(connection):
        return connection.ask("GET", "/api", largest=1_000_000)

    with pytest.raises(TooMuch):
        asked([answer], asking)


def test_a_refusal_without_end_is_left():
    with pytest.raises(TooMuch):
        asked([Answer(500, LARGE, chunked=True, ending="stall")], read)


def test_who_says_nothing_is_left_before_the_whole_answer_would_be():
    silent = Answer(body=b"begun", chunked=True, ending="stall")

    async def asking(connection):
        async with asyncio.timeout(30):
            return await connection.ask("GET", "/api", silence=timedelta(seconds=0.1))

    with pytest.raises(Unreachable, match="in time"):
        asked([silent], asking)


def test_nobody_listens():
    async def story():
        async with connected(written_login(kubeconfig("http://127.0.0.1:9", {}))) as connection:
            await read(connection)

    with pytest.raises(Unreachable):
        asyncio.run(story())


@pytest.mark.parametrize(
    "text",
    ["", "[]", "clusters: 7", "kind: Config\ncurrent-context: x\ncontexts: []", ": : :", "a: &a [*a]"],
)
def test_a_kubeconfig_that_is_none_is_said(tmp_path, text):
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(Unusable):
        asyncio.run(default_login(path)())


def test_a_kubeconfig_that_is_not_there_is_said(tmp_path):
    with pytest.raises(Unusable):
        asyncio.run(default_login(tmp_path / "none")())


def test_a_peer_that_is_gone_without_a_word_is_noticed_within_a_minute():
    with watchful_socket((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 80))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, pause, times = (
            made.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + pause * times <= 60


def test_a_new_login_leaves_alone_what_is_under_way():
    async def story():
        late = stream(b"late\n")._replace(held=True)
        server = Server([late, failure(401, "Unauthorized"), listing("1"), listing("2")])
        async with server.running(), connected(server.login) as connection:
            lines = connection.lines("/watched", {}, timedelta(seconds=60))
            assert await anext(lines) == []
            assert await read(connection)
            server.go_on.set()
            async with asyncio.timeout(5):
                assert [line async for line in lines] == [[b"late"]]
            assert b'"2"' in await read(connection)

    asyncio.run(story())


def test_a_program_that_never_says_who_one_is_is_not_waited_for():
    async def story():
        server, turns = Server([listing("1")]), iter(range(2))
        async with server.running():

            async def login():
                if next(turns) == 0:
                    await asyncio.Event().wait()
                return await server.login()

            connection = Connection(login, timedelta(seconds=0.1))
            async with asyncio.timeout(10):
                with pytest.raises(Unreachable, match="in time"):
                    await connection.ask("GET", "/api")
                assert await connection.ask("GET", "/api")
            await connection.close()

    asyncio.run(story())


def test_who_is_about_to_ask_while_another_logs_in_anew_is_answered():
    async def story():
        server = Server([failure(401, "Unauthorized"), listing("1"), listing("2")])
        asking, renewed = asyncio.Event(), asyncio.Event()
        async with server.running():

            async def token(configuration):
                if asyncio.current_task().get_name() == "slow":
                    asking.set()
                    await renewed.wait()

            async def login():
                configuration = await server.login()
                configuration.refresh_api_key_hook = token
                return configuration

            async with connected(login) as connection:
                slow = asyncio.create_task(connection.ask("GET", "/slow"), name="slow")
                await asking.wait()
                assert await read(connection)
                renewed.set()
                assert b'"2"' in await slow

    asyncio.run(story())


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({}, id="nobody said anything"),
        pytest.param({"KUBECONFIG": "/nowhere/config"}, id="what is named is not there"),
    ],
)
def test_where_nothing_says_how_to_log_in_it_is_told_what_would(tmp_path, monkeypatch, environment):
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": str(tmp_path), **environment}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Unusable, match="--kubeconfig"):
        asyncio.run(default_login()())
