"""Commands, by whoever keeps the keys; and the program from outside."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import stat
import subprocess
import sys

import pytest
from cryptography import x509
from typer.testing import CliRunner

from pilotpy_ca.cli import app
from pilotpy_ca.commands import Export, Exported, Failed, Happened, Issue, Revoke, Rotate, Show, Shown, Taint, answer
from pilotpy_ca.control import ask, controlled, opened
from pilotpy_ca.errors import Locked, StorageError
from pilotpy_ca.leaf import names_of
from tests.ca.scenery import CSR, NOW, SLEEP, TERMS, below, cacerts, keeper, root, written

runner = CliRunner()


@pytest.fixture
def folder(tmp_path):
    """Keys that nobody keeps just now. A long path: longer than a socket's may be."""
    made = tmp_path / ("long-" * 30) / "ca"
    with opened(made, TERMS):
        pass
    return made


def run(*words, code=0):
    done = runner.invoke(app, list(map(str, words)))
    assert done.exit_code == code, done.output
    return done.output


def test_without_a_process_that_keeps_the_keys_a_command_is_done_here(folder):
    said = ask(folder, Show(), TERMS)
    assert isinstance(said, Shown)
    assert [signer.phase for signer in said.status.signers] == ["active"]


def test_with_one_it_is_done_there(folder):
    async def play():
        with opened(folder, TERMS) as kept:
            async with controlled(folder, kept):
                said = await asyncio.to_thread(ask, folder, Rotate(), TERMS)
                assert isinstance(said, Happened)
                assert kept.authority.slots.next is not None
                assert (folder / "control.sock").is_socket()
            with pytest.raises(Locked):
                await asyncio.to_thread(ask, folder, Show(), TERMS)

    asyncio.run(play())
    assert not (folder / "control.sock").exists()


def test_nobody_else_may_command_even_where_the_folder_is_open_to_them(folder):
    folder.chmod(0o777)

    async def play():
        with opened(folder, TERMS) as kept:
            async with controlled(folder, kept):
                assert stat.S_IMODE((folder / "control.sock").stat().st_mode) == 0o600

    mask = os.umask(0)
    try:
        asyncio.run(play())
    finally:
        os.umask(mask)


def test_a_life_beyond_all_time_is_refused_in_words():
    said = answer(keeper(), Issue(CSR.decode(), SLEEP, 1e30), NOW)
    assert isinstance(said, Failed)


@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b"[" * 1000 + b"\n", b'{"type": "show"', b"x" * 200_000, b'{"type": "quit"}\n'], ids=repr
)
def test_what_is_no_command_is_said_to_be_none(folder, line):
    async def play():
        with opened(folder, TERMS) as kept:
            async with controlled(folder, kept):
                descriptor = os.open(folder, os.O_RDONLY)
                reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{descriptor}/control.sock")
                os.close(descriptor)
                writer.write(line)
                writer.write_eof()
                with contextlib.suppress(ConnectionError):
                    assert json.loads(await reader.readline())["type"] == "failed"
                writer.close()
                assert isinstance(await asyncio.to_thread(ask, folder, Show(), TERMS), Shown)

    asyncio.run(play())


def test_a_socket_that_a_dead_process_left_is_no_obstacle(folder):
    import socket

    descriptor = os.open(folder, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"/proc/self/fd/{descriptor}/control.sock")
    os.close(descriptor)
    assert isinstance(ask(folder, Show(), TERMS), Shown)

    async def play():
        with opened(folder, TERMS) as kept:
            async with controlled(folder, kept):
                return await asyncio.to_thread(ask, folder, Show(), TERMS)

    assert isinstance(asyncio.run(play()), Shown)


def test_a_question_makes_no_keys(tmp_path):
    with pytest.raises(StorageError, match="there are no keys"):
        ask(tmp_path / "nothing", Show(), TERMS)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        pytest.param(Revoke(name=SLEEP), "no certificate", id="nothing to revoke"),
        pytest.param(Revoke(serial="xyz"), "invalid literal", id="no serial number"),
        pytest.param(Revoke(name=SLEEP, unban=True), "not banned", id="not banned"),
        pytest.param(Rotate(abandon=True), "no rotation", id="nothing to abandon"),
        pytest.param(Taint("ffff"), "no signer ffff", id="no such signer"),
        pytest.param(Taint("ffff", drop=True), "not an old signer", id="nothing to drop"),
        pytest.param(Issue("x", SLEEP), "PEM", id="no request"),
        pytest.param(Issue(CSR.decode(), SLEEP, 1e9), "was asked for", id="too long a life"),
    ],
)
def test_what_cannot_be_done_is_said(command, reason):
    said = answer(keeper(), command, NOW)
    assert isinstance(said, Failed)
    assert reason in said.reason


def test_the_chain_is_exported_without_the_root(tmp_path):
    from pilotpy_ca.plugged_in import PluggedInFolder

    signer = below(root())
    kept = keeper(plugged_in=PluggedInFolder(written(tmp_path / "certs", cacerts(signer))))
    assert isinstance(answer(kept, Rotate(), NOW), Failed), "the keys are not ours"
    exported = answer(kept, Export(), NOW)
    assert isinstance(exported, Exported)
    assert x509.load_pem_x509_certificates(exported.chain.encode()) == [signer.certificate]
    assert x509.load_pem_x509_certificates(exported.roots.encode()) == [signer.anchor]


def test_the_commands_of_a_terminal(folder, tmp_path):
    where = ("--dir", folder)
    assert "active" in run("show", *where)
    out = tmp_path / "mine"
    assert "serial" in run("issue", SLEEP, "--out", out, *where)
    for name in ("key.pem", "cert-chain.pem", "root-cert.pem"):
        assert stat.S_IMODE((out / name).stat().st_mode) == 0o600
    ssl.create_default_context(cafile=out / "root-cert.pem").load_cert_chain(out / "cert-chain.pem", out / "key.pem")
    assert names_of(x509.load_pem_x509_certificate((out / "cert-chain.pem").read_bytes())) == (SLEEP,)

    assert "prepared" in run("rotate", *where)
    assert "waiting to activate" in run("show", *where)
    assert "activated" in run("rotate", "--now", *where)
    assert run("export", *where).count("BEGIN CERTIFICATE") == 2

    assert "revoked" in run("revoke", SLEEP, "--ban", "--reason", "laptop lost", *where)
    assert f"banned {SLEEP}" in run("show", *where)
    assert run("export", "--crl", *where).count("BEGIN X509 CRL") == 2
    run("issue", SLEEP, "--out", out, *where, code=1)
    run("revoke", SLEEP, "--unban", *where)
    run("issue", SLEEP, "--out", out, *where)

    stands = json.loads(run("show", "-o", "json", *where))["status"]
    assert [signer["phase"] for signer in stands["signers"]] == ["active", "old"]
    old = stands["signers"][1]["id"]
    run("rotate", "--drop", old, *where)
    assert old not in run("show", *where)


def test_a_token_for_a_machine(folder, tmp_path):
    run("issue", "default/sleep/sleep-1", "--token", "--out", tmp_path, "--dir", folder)
    assert (tmp_path / "istio-token").read_text().count(".") == 2
    run("issue", "default/sleep", "--token", "--out", tmp_path, "--dir", folder, code=2)


@pytest.fixture
def program(folder):
    """`pilotpy-ca serve` as a process of its own; ends with the test."""
    words = [sys.executable, "-m", "pilotpy_ca", "serve", "--dir", str(folder), "--address", "127.0.0.1:0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert line.startswith("serving certificates on 127.0.0.1:"), process.stderr.read()
        yield process, line.split()[-1]
        process.kill()


def test_the_program_serves_takes_commands_and_stops(folder, program):
    process, address = program
    host, _, port = address.rpartition(":")
    shown = ssl.get_server_certificate((host, int(port)), ca_certs=_roots(folder), timeout=10)
    assert names_of(x509.load_pem_x509_certificate(shown.encode())) == ("istiod.istio-system.svc", "localhost")
    assert "prepared" in run("rotate", "--dir", folder)
    second = subprocess.run(
        [sys.executable, "-m", "pilotpy_ca", "serve", "--dir", str(folder)], capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "another process keeps the keys" in second.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert "PRIVATE" not in process.stderr.read()


def test_killed_in_mid_rotation_the_program_goes_on_with_it(folder, program):
    process, _ = program
    run("rotate", "--dir", folder)
    before = json.loads(run("show", "-o", "json", "--dir", folder))["status"]["signers"]
    process.kill()
    process.wait()
    after = json.loads(run("show", "-o", "json", "--dir", folder))["status"]["signers"]
    assert after == before
    assert [signer["phase"] for signer in after] == ["active", "prepared"]


def _roots(folder):
    path = folder.parent / "roots.pem"
    path.write_text(run("export", "--dir", folder))
    return path
